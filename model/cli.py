"""``fusiongcn train`` and ``fusiongcn scenes``."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fusiongcn_edge.model.config import PUBLISHED_RECIPE, RECIPES, TrainConfig, TrainingError
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import SMALLEST_SCENE, contact_sheet, make_scene
from fusiongcn_edge.model.run_log import LOG
from fusiongcn_edge.runtime.bundle.manifest import PUBLISHED
from fusiongcn_edge.runtime.cli.options import tell, whole_number
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.files import check_folder, check_no_overwrite, remove_unfinished
from fusiongcn_edge.runtime.io.images import check_writable, write_image, write_images
from fusiongcn_edge.runtime.io.locks import exclusive_lock
from fusiongcn_edge.runtime.text import pluralize

LOCK = ".lock"  # in the folder of a run, as long as it is trained in

TRAIN_EXAMPLE = """example:
  fusiongcn train lite --photos photos/train --held-out photos/val -o run --minutes 90
  fusiongcn export --checkpoint run/weights.pt -o my-model

Interrupt it whenever you like (Ctrl-C): the same command goes on where it was. run/log.csv holds the curve.
"""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = TRAIN_EXAMPLE
    parser.add_argument(
        "network", nargs="?", choices=list(RECIPES), default=TrainConfig().network, help="default: %(default)s"
    )
    parser.add_argument("--photos", required=True, metavar="DIR", help="folder of photographs to make scenes from")
    parser.add_argument("--photos-name", default="", metavar="TEXT", help="what the model says it was trained on")
    parser.add_argument(
        "--licence", default="not stated", metavar="TEXT", help="terms that the model states (default: %(default)s)"
    )
    parser.add_argument("--held-out", required=True, metavar="DIR", help="folder of other photographs, for validation")
    parser.add_argument(
        "-o", "--output", required=True, metavar="RUN", help="folder of the run; made if missing, resumed if there"
    )
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="N", help="stop (and save) after this long")
    parser.add_argument(
        "--recipe",
        choices=["ours", "published"],
        default="ours",
        help="published: L1, StepLR, float32, the steps and scenes of the paper (default: %(default)s)",
    )
    numbers = [
        ("--steps", int, "N", "whole schedule; may change on resuming"),
        ("--batch", int, "N", "scenes per step"),
        ("--crop", int, "PIXELS", "size of the scenes"),
        ("--learning-rate", float, "X", "at its highest"),
        ("--fused-weight", float, "X", "of the fused image's error beside the matte's"),
        ("--noise", float, "X", "share of scenes with noise in both photographs"),
        ("--blank", float, "X", "share of scenes in which nothing is sharp"),
        ("--seed", int, "N", "of the weights and scenes"),
        ("--compactness", float, "X", "of the superpixels"),
    ]
    for option, kind, metavar, meaning in numbers:
        name = option.removeprefix("--").replace("-", "_")
        parser.add_argument(option, type=kind, metavar=metavar, help=f"{meaning} ({_defaults(name)})")
    parser.add_argument("--weights", metavar="FILE", help="begin with these weights (weights.pt of an earlier run)")
    parser.add_argument(
        "--workers",
        type=whole_number(0),
        default=1,
        metavar="N",
        help="processes that make scenes (default: %(default)s)",
    )


def _defaults(name: str) -> str:
    """A number of the recipes, in words: of all networks if it is the same for them."""
    values = {network: f"{getattr(recipe, name):g}" for network, recipe in RECIPES.items()}
    told = next(iter(values.values())) if len(set(values.values())) == 1 else ""
    return "default: " + (told or ", ".join(f"{value} for {network}" for network, value in values.items()))


def run_train(arguments: argparse.Namespace) -> int:
    if arguments.recipe == "published" and arguments.network != PUBLISHED:
        raise TrainingError(f"There is no published recipe for {arguments.network}", fix="leave --recipe out")
    from fusiongcn_edge.model import training  # with torch, which --help does without

    training.keep_freed_memory()
    recipe = PUBLISHED_RECIPE if arguments.recipe == "published" else RECIPES[arguments.network]
    given = {f.name: getattr(arguments, f.name, None) for f in dataclasses.fields(recipe)}
    recipe = dataclasses.replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if not arguments.minutes > 0:
        raise TrainingError(f"--minutes {arguments.minutes:g} cannot be", fix="give a number above 0")
    photographs, held_out = _photographs(arguments.photos), _photographs(arguments.held_out)
    folder = Path(arguments.output)
    made = _make_run_folder(folder, training.STATE, (training.WEIGHTS, LOG))
    with exclusive_lock(
        folder / LOCK, f"{folder} is being trained in by another process: wait for it, or give another folder."
    ):
        try:
            run = training.Run(
                recipe,
                folder,
                photographs,
                held_out,
                workers=arguments.workers,
                photographs=arguments.photos_name,
                licence=arguments.licence,
            )
        except BaseException:
            if made:
                shutil.rmtree(folder)
            raise
        both = {path.resolve() for path in photographs.paths} & {path.resolve() for path in held_out.paths}
        if both:
            tell(
                [
                    f"{len(both)} of {pluralize(len(held_out), 'photograph')} held out can be trained on too, and "
                    "would tell nothing of how others fuse: hold out ones that are not in --photos."
                ]
            )
        scores = training.run(run, minutes=arguments.minutes)
    print(
        f"{folder / training.WEIGHTS}: step {run.step} of {recipe.steps}, "
        f"held-out PSNR {scores['held_out_psnr_soft']:.2f} dB soft, {scores['held_out_psnr_hard']:.2f} dB hard"
    )
    return 0


def _make_run_folder(folder: Path, state: str, others: Sequence[str]) -> bool:
    """Make the folder of a run (its ``state`` and ``others`` are files in it) unless it is there; True if it was made.
    Refuses one that holds other things, and a model without the state to go on from."""
    if os.path.isdir(folder):
        check_folder(folder / state)
        for name in (state, *others):
            remove_unfinished(folder / name)
        found = set(os.listdir(folder)) - {LOCK}
        if found and not (folder / state).exists():
            raise TrainingError(
                f"{folder} holds other files ({min(found)}), and no run to go on with", fix="give a folder of its own"
            )
        return False
    check_folder(folder)
    if os.path.exists(folder):
        raise TrainingError(f"{folder} is a file", fix="give the name of a folder")
    folder.mkdir()
    return True


def _photographs(folder: str | os.PathLike[str]) -> Photographs:
    photographs = Photographs(folder)
    for reason in photographs.skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    if photographs.skipped:
        skipped, used = pluralize(len(photographs.skipped), "file"), pluralize(len(photographs), "photograph")
        print(f"{skipped} skipped, {used} used", file=sys.stderr)
    return photographs


def add_scenes_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", required=True, metavar="DIR", help="folder of photographs")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--output", metavar="FILE", help="picture to write: A, B, truth and matte of each scene")
    where.add_argument(
        "--pairs",
        metavar="DIR",
        help="folder to make instead, with a/, b/ and truth/, for 'fusiongcn evaluate' and 'fusiongcn quantize'",
    )
    for option, least, default, metavar, meaning in (
        ("--count", 1, 16, "N", "scenes"),
        ("--size", SMALLEST_SCENE, 160, "PIXELS", "of each scene"),
        ("--seed", 0, 0, "N", "series of scenes"),
    ):
        parser.add_argument(
            option, type=whole_number(least), default=default, metavar=metavar, help=f"{meaning} (default: {default})"
        )


def run_scenes(arguments: argparse.Namespace) -> int:
    photographs = _photographs(arguments.photos)
    if arguments.pairs is not None:
        _write_pairs(arguments, photographs)
        return 0
    check_no_overwrite(photographs.paths, [arguments.output])
    check_writable(arguments.output, np.empty((1, 1), np.uint8))
    sheet = contact_sheet(photographs, arguments.size, arguments.seed, arguments.count)
    write_image(arguments.output, sheet)
    scenes, sources = pluralize(arguments.count, "scene"), pluralize(len(photographs), "photograph")
    print(f"{arguments.output}: {scenes} from {sources}")
    return 0


def _write_pairs(arguments: argparse.Namespace, photographs: Photographs) -> None:
    folder = Path(arguments.pairs)
    if os.path.lexists(folder):
        raise FusionError(f"{folder} exists, and no pairs are written over", fix="choose another name")
    make_scene(photographs, arguments.size, arguments.seed, 0)  # refused before there is a folder
    parts = ("a", "b", "truth")
    try:
        for part in parts:
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise FusionError(f"{folder} cannot be made", found=error.strerror, fix="choose another name") from None
    try:
        with Progress() as progress:
            for index in range(arguments.count):
                progress(f"scene {index + 1} of {arguments.count}")
                scene = make_scene(photographs, arguments.size, arguments.seed, index)
                write_images({folder / part / f"{index:04d}.png": getattr(scene, part) for part in parts})
    except BaseException:
        shutil.rmtree(folder)
        raise
    pairs, sources = pluralize(arguments.count, "pair"), pluralize(len(photographs), "photograph")
    print(f"{folder}: {pairs} with the truth, from {sources}")
