"""Fusion quality of models side by side.

    python -m fusiongcn_edge.benchmarks.experiments.quality --model A [--model B …] [--truth DIR] [--pairs DIR]
        [--photos DIR]

``--truth``: pairs ``a/``, ``b/`` with the all-in-focus image in ``truth/``: mean PSNR, hard and soft.
``--pairs``: pairs without truth: mean Q_G and Q_W, hard and soft, and the agreement of the decision maps with those
stored in ``official_decision/``, if there.
``--photos``: photographs to make 100 held-out scenes from (needs torch): mean PSNR, hard and soft.
``--worst FOLDER``: a picture of the pairs with the lowest scores of the first model: both photographs, then each
model's fused one, decision map, and what is wrong: the error against the truth, or the difference between the
photographs where the first and the last model decide otherwise. ``--maps-only`` leaves the photographs out, where they
may not be shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.cli.options import exit_code, new_parser
from fusiongcn_edge.benchmarks.evaluation.figures import error_map
from fusiongcn_edge.benchmarks.experiments.decision_agreement import differing_fraction
from fusiongcn_edge.benchmarks.metrics.scorer import alike, check_sizes, eight_bits, q_g, q_w, to_gray
from fusiongcn_edge.runtime import Fuser, FusionError, FusionResult
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.fusion.blending import blend, select
from fusiongcn_edge.runtime.fusion.preview import GAP, bordered, thumbnail
from fusiongcn_edge.runtime.io.files import check_files_in, make_folder
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.io.pixels import psnr

Image = NDArray[Any]
HELD_OUT_SCENES, HELD_OUT_SIZE, HELD_OUT_SEED = 100, 320, 77
WORST = 4


def main() -> int:
    """Print a table per kind of data."""
    parser = new_parser("quality", __doc__)
    parser.add_argument("--model", action="append", required=True, metavar="NAME|PATH")
    parser.add_argument("--truth", type=Path, metavar="DIR")
    parser.add_argument("--pairs", type=Path, metavar="DIR")
    parser.add_argument("--photos", type=Path, metavar="DIR")
    parser.add_argument("--worst", type=Path, metavar="FOLDER")
    parser.add_argument("--maps-only", action="store_true")
    arguments = parser.parse_args()

    def measure() -> None:
        if arguments.worst is not None:
            check_files_in(arguments.worst)
        if arguments.truth is arguments.pairs is arguments.photos is None:
            raise FusionError("There is nothing to measure on", fix="name a folder with --truth, --pairs or --photos")
        models = [Model(name) for name in arguments.model]
        sheet = None
        if arguments.worst is not None:
            make_folder(arguments.worst)
            sheet = Sheet(arguments.worst, arguments.maps_only)
        if arguments.truth is not None:
            _report("truth", models, truth_pairs(arguments.truth), truth_scores, sheet)
        if arguments.photos is not None:
            _report("held-out scenes", models, made_scenes(arguments.photos), truth_scores, None)
        if arguments.pairs is not None:
            _report("pairs", models, plain_pairs(arguments.pairs), pair_scores, sheet)

    return exit_code(measure)


class Model:
    """A model, with both ways to fuse."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fuser = Fuser.open(name)

    def fuse(self, a: Image, b: Image) -> tuple[FusionResult, dict[str, Image]]:
        """The result, and the photographs fused ``hard`` and ``soft``."""
        result = self.fuser.fuse(a, b)
        soft = blend(a, b, result.probability, result.decision, self.fuser.bundle.threshold)
        return result, {"hard": select(a, b, result.decision), "soft": soft}


Case = tuple[str, Image, Image, Any]  # name, a, b, what to compare with


def truth_pairs(root: Path) -> Iterator[Case]:
    """Pairs with a picture of the truth."""
    for pair in find_pairs(root):
        truth = pair.beside("truth")
        if truth is None:
            raise FusionError(f"There is no truth/{pair.name}.* beside {pair.a.parent}")
        yield pair.title, read_image(pair.a), read_image(pair.b), read_image(truth)


def plain_pairs(root: Path) -> Iterator[Case]:
    """Pairs with a stored decision map, or None."""
    for pair in find_pairs(root):
        yield pair.title, read_image(pair.a), read_image(pair.b), pair.beside("official_decision")


def made_scenes(photos: Path) -> Iterator[Case]:
    """Scenes that no training run sees: other photographs, another seed."""
    from fusiongcn_edge.model.data.photos import Photographs
    from fusiongcn_edge.model.data.synthetic_scenes import make_scene

    photographs = Photographs(photos)
    for index in range(HELD_OUT_SCENES):
        scene = make_scene(photographs, HELD_OUT_SIZE, HELD_OUT_SEED, index)
        yield f"scene-{index}", scene.a, scene.b, scene.truth


def truth_scores(a: Image, b: Image, truth: Image, result: FusionResult, fused: dict[str, Image]) -> dict[str, float]:
    """PSNR of both kinds of fusion."""
    check_sizes({"first photograph": a, "truth": truth})
    target = eight_bits(alike(truth, truth))
    return {f"PSNR {kind}": psnr(eight_bits(alike(image, truth)), target) for kind, image in fused.items()}


def pair_scores(a: Image, b: Image, stored: Any, result: FusionResult, fused: dict[str, Image]) -> dict[str, float]:
    """Q_G and Q_W of both kinds of fusion, and agreement with a stored decision map."""
    gray_a, gray_b = to_gray(a), to_gray(b)
    scores = {}
    for kind, image in fused.items():
        scores[f"Q_G {kind}"] = q_g(gray_a, gray_b, to_gray(image))
        scores[f"Q_W {kind}"] = q_w(gray_a, gray_b, to_gray(image))
    if stored is not None:
        scores["agreement"] = 1 - differing_fraction(result.decision, stored)
    return scores


def _report(
    title: str,
    models: list[Model],
    cases: Iterator[Case],
    scores_of: Callable[..., dict[str, float]],
    sheet: Sheet | None,
) -> None:
    rows: list[tuple[str, list[dict[str, float]]]] = []
    with Progress() as progress:
        for name, a, b, reference in cases:
            progress(f"{title}: {len(rows)} done, {name}")
            results = [model.fuse(a, b) for model in models]
            rows.append((name, [scores_of(a, b, reference, *result) for result in results]))
            if sheet is not None:
                truth = reference if isinstance(reference, np.ndarray) else None
                own = [(fused[m.fuser.bundle.blend], r.decision) for m, (r, fused) in zip(models, results, strict=True)]
                sheet.add(name, a, b, truth, own)
    keys = [key for key in rows[0][1][0] if all(key in each for _, scores in rows for each in scores)]
    print(f"\n{title}, mean of {len(rows)}\n{'':<28}" + "".join(f"{key:>12}" for key in keys))
    for i, model in enumerate(models):
        means = [float(np.mean([scores[i][key] for _, scores in rows])) for key in keys]
        print(f"{Path(model.name).name:<28}" + "".join(f"{mean:>12.4f}" for mean in means), flush=True)
    if sheet is not None:
        key = keys[-1]
        names = []
        for name, scores in sorted(rows, key=lambda row: row[1][0][key])[:WORST]:
            listed = "  ".join(f"{m.name.split('/')[-1]} {s[key]:.4f}" for m, s in zip(models, scores, strict=True))
            print(f"  {name}: {key} {listed}")
            names.append(name)
        sheet.write(title, names)


class Sheet:
    """Pictures of pairs, one row each."""

    def __init__(self, folder: Path, maps_only: bool) -> None:
        self.folder, self.maps_only = folder, maps_only
        self.rows: dict[str, list[Image]] = {}

    def add(
        self, name: str, a: Image, b: Image, truth: Image | None, own: list[tuple[Image, NDArray[np.bool_]]]
    ) -> None:
        """A pair with each model's fused photograph and decision."""
        panels = [] if self.maps_only else [a, b]
        for number, (fused, decision) in enumerate(own):
            if truth is not None:
                wrong = error_map(fused, truth)
            else:
                same = decision == own[-1 if number == 0 else 0][1]
                wrong = error_map(a, b)
                wrong[same] = 0
            panels += [] if self.maps_only else [fused]
            panels += [decision.astype(np.uint8) * 255, wrong]
        self.rows[name] = [thumbnail(panel) for panel in panels]

    def write(self, title: str, names: list[str]) -> None:
        """The rows of these names, one below the other."""
        strips = [np.hstack(self.rows[name]) for name in names]
        width = max(strip.shape[1] for strip in strips)
        padded = [bordered(strip, top=GAP, right=width - strip.shape[1]) for strip in strips]
        write_image(self.folder / f"worst-{title}.jpg", np.vstack(padded))


if __name__ == "__main__":
    sys.exit(main())
