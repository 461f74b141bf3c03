"""``fusiongcn quantize``."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusiongcn_edge import __version__
from fusiongcn_edge.calibration.calibration_data import PairSet, pairs_from
from fusiongcn_edge.calibration.flip_rate import FlipRateEvaluator, Loss
from fusiongcn_edge.calibration.layers import FP16, FP32, PRECISIONS, STATIC8, STATIC16, CalibrationError
from fusiongcn_edge.calibration.quantize import Choice, quantize
from fusiongcn_edge.calibration.recipes import AUTO, RECIPES
from fusiongcn_edge.calibration.report import closing_table, layers_table, picture, why_not_all
from fusiongcn_edge.calibration.search import check_budget
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST, Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.bundle.writer import check_target, write_bundle
from fusiongcn_edge.runtime.cli.options import add_engine_argument, whole_number
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.fuser import open_bundle
from fusiongcn_edge.runtime.io.files import check_folder, write_files
from fusiongcn_edge.runtime.text import install_hint

EXAMPLE = """example:
  fusiongcn quantize fusiongcn --pairs my-pairs -o my-int8
  fusiongcn fuse near.jpg far.jpg -o fused.png --model my-int8

my-pairs holds a/NAME.jpg and b/NAME.jpg, two photographs of one scene each. Half of them choose the precisions, the
others validate the result, unless --validation-pairs names a folder of its own: at least 2 pairs of each, and rather 8.
What is lost is measured against the same model in float32: flipped decisions (pixels taken from the other photograph)
and PSNR of the fused photograph.

recipes:
"""
FEWEST_PAIRS = 2  # on either side


def add_quantize_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE + "\n".join(f"  {name:22} {recipe.about}" for name, recipe in RECIPES.items())
    parser.add_argument("bundle", metavar="BUNDLE", help="the float32 model: name of a shipped one, or a folder")
    parser.add_argument("-o", "--output", required=True, metavar="BUNDLE", help="folder to make; none is written over")
    add_engine_argument(parser)
    parser.add_argument("--recipe", choices=list(RECIPES), default=AUTO, help="see below (default: %(default)s)")
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="DIR",
        help="photographs to calibrate with, at least 4 pairs (default: made ones, far from real)",
    )
    parser.add_argument(
        "--validation-pairs",
        type=Path,
        metavar="DIR",
        help="validation set, at least 2 pairs (default: half of --pairs)",
    )
    parser.add_argument(
        "--max-flips", type=_percent, default=0.002, metavar="X%", help="of all decisions, at most (default: 0.2%%)"
    )
    parser.add_argument(
        "--max-pairs",
        type=whole_number(0),
        default=8,
        metavar="N",
        help="pairs of the calibration set, and as many of the validation set, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="N", help="draws pairs and windows (default: 0)"
    )
    parser.add_argument("--picture", metavar="FILE.png", help="draw how much each layer loses in each precision")


def _percent(text: str) -> float:
    """``0.1%`` or ``0.1`` to 0.001."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give per cent, 0.1% for example")
    return share


def run_quantize(arguments: argparse.Namespace) -> int:
    check_target(arguments.output)
    if arguments.picture:
        _check_picture(arguments.picture)
    bundle = open_bundle(arguments.bundle, arguments.engine)
    if bundle.precision != FP32:
        raise CalibrationError(
            f"{bundle.path} is in {bundle.precision} already", fix="give the bundle in fp32 that it was made from"
        )
    recipe = RECIPES[arguments.recipe]
    candidates = recipe.candidates_of(bundle)
    if arguments.picture and not any(set(precisions) - {FP16, FP32} for precisions in candidates.values()):
        raise CalibrationError(
            f"A --picture shows what layers lose in 8 or 16 bits of integers, and {recipe.name} has none",
            fix="leave it out",
        )
    calibration, validation = _pairs(arguments)
    choice, options = Choice(), {"max_flips": arguments.max_flips, "seed": arguments.seed}
    with _kept(choice), Progress() as progress:
        quantized = quantize(bundle, recipe, calibration, choice, progress, rank=bool(arguments.picture), **options)
        progress("judging")
        loss = FlipRateEvaluator(bundle, validation.pairs).loss(quantized)
    chosen = choice.precisions
    if choice.points:
        print(layers_table(choice.points, chosen))
    if STATIC8 in chosen.values() or STATIC16 in chosen.values():
        print(why_not_all(bundle), end="")
    check_budget(loss, arguments.max_flips, "--recipe auto keeps sensitive layers out")
    write_bundle(
        arguments.output, _manifest(bundle, arguments, chosen, calibration, validation, loss), quantized.graphs
    )
    if arguments.picture:
        write_files({arguments.picture: picture(choice.points, chosen)})
    print(closing_table(bundle, load_bundle(Path(arguments.output)), chosen, loss, validation))
    return 0


@contextmanager
def _kept(choice: Choice) -> Iterator[None]:
    """Print, at an interruption, what was found out until then, and let it go on."""
    try:
        yield
    except KeyboardInterrupt:
        if choice.points:
            print(layers_table(choice.points, choice.precisions))
        raise


def _pairs(arguments: argparse.Namespace) -> tuple[PairSet, PairSet]:
    """Read the calibration pairs and the validation pairs."""
    if arguments.validation_pairs is not None:
        if arguments.pairs is None:
            raise CalibrationError(
                "--validation-pairs is given without --pairs", fix="name the photographs to calibrate with as well"
            )
        calibration, validation = (
            pairs_from(folder, arguments.max_pairs, arguments.seed)
            for folder in (arguments.pairs, arguments.validation_pairs)
        )
        if calibration.files & validation.files:
            raise CalibrationError(
                "--pairs and --validation-pairs share photographs", fix="validate with others than you calibrate with"
            )
    else:
        calibration, validation = pairs_from(arguments.pairs, 2 * arguments.max_pairs, arguments.seed).split()
    if min(len(calibration.pairs), len(validation.pairs)) < FEWEST_PAIRS:
        raise CalibrationError(
            "There are too few pairs",
            found=f"{len(calibration.pairs)} to calibrate and {len(validation.pairs)} to validate with",
            allowed=f"at least {FEWEST_PAIRS} of each",
            fix=f"give {2 * FEWEST_PAIRS} in --pairs or name --validation-pairs, and --max-pairs no smaller",
        )
    return calibration, validation


def _manifest(
    bundle: Bundle,
    arguments: argparse.Namespace,
    chosen: dict[str, str],
    calibration: PairSet,
    validation: PairSet,
    loss: Loss,
) -> dict[str, Any]:
    manifest = json.loads((bundle.path / MANIFEST).read_text("utf-8"))
    for made_anew in ("format", "graphs", "checksum"):
        del manifest[made_anew]
    manifest["precision"] = next(name for name in PRECISIONS if name in chosen.values())
    manifest["quantization"] = {
        "recipe": arguments.recipe,
        "seed": arguments.seed,
        "quantized_by": f"fusiongcn-edge {__version__}",
        "layers": chosen,
        "calibration": {"source": calibration.source, "sha256": calibration.sha256},
        "validation": {
            "source": validation.source,
            "sha256": validation.sha256,
            "mean_flips": round(loss.mean_flips, 6),
            "worst_flips": round(loss.worst_flips, 6),
            "mean_psnr": round(loss.mean_psnr, 2),
        },
    }
    return manifest


def _check_picture(path: str) -> None:
    check_folder(path)
    if not path.endswith(".png"):
        raise CalibrationError(f"{path} is not the name of a PNG file", fix="end it with .png")
    if importlib.util.find_spec("matplotlib") is None:
        raise CalibrationError(
            "A --picture needs matplotlib, which is not installed", fix=f"{install_hint('calibration')}"
        )
