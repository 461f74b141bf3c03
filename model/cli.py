"""``fusiongcn train`` and ``fusiongcn scenes``."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.model.config import CONFIGS, PUBLISHED_CONFIG, TrainConfig, TrainingError
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import SMALLEST_SCENE, contact_sheet, make_scene
from fusiongcn_edge.model.data.synthetic_stacks import MOST_FRAMES, make_stack, stack_sheet
from fusiongcn_edge.runtime.bundle.manifest import PUBLISHED
from fusiongcn_edge.runtime.cli.options import print_warnings, whole_number
from fusiongcn_edge.runtime.cli.progress import EVERY, Progress
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.files import check_folder, check_no_overwrite, is_unfinished
from fusiongcn_edge.runtime.io.images import check_writable, write_image, write_images
from fusiongcn_edge.runtime.io.locks import exclusive_lock
from fusiongcn_edge.runtime.text import pluralize

WIPE = "\r\033[K"  # what is in the line of a terminal
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
        "network", nargs="?", choices=list(CONFIGS), default=TrainConfig().network, help="default: %(default)s"
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
    """Say the default of a number: one if it is the same for all networks, or each."""
    values = {network: f"{getattr(config, name):g}" for network, config in CONFIGS.items()}
    told = next(iter(values.values())) if len(set(values.values())) == 1 else ""
    return "default: " + (told or ", ".join(f"{value} for {network}" for network, value in values.items()))


def run_train(arguments: argparse.Namespace) -> int:
    if arguments.recipe == "published" and arguments.network != PUBLISHED:
        raise TrainingError(f"There is no published recipe for {arguments.network}", fix="leave --recipe out")
    from fusiongcn_edge.model import training  # with torch, which --help does without

    training.keep_freed_memory()
    config = PUBLISHED_CONFIG if arguments.recipe == "published" else CONFIGS[arguments.network]
    given = {f.name: getattr(arguments, f.name, None) for f in dataclasses.fields(config)}
    config = dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})
    if not arguments.minutes > 0:
        raise TrainingError("--minutes is out of range", found=f"{arguments.minutes:g}", allowed="a number above 0")
    photographs, held_out = _photographs(arguments.photos), _photographs(arguments.held_out)
    folder = Path(arguments.output)
    made = _make_run_folder(folder, training.STATE)
    with exclusive_lock(
        folder / LOCK, f"{folder} is being trained in by another process: wait for it, or give another folder."
    ):
        try:
            run = training.Run(
                config,
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
            print_warnings(
                [
                    f"{len(both)} of {pluralize(len(held_out), 'photograph')} held out can be trained on too, and "
                    "would tell nothing of how others fuse: hold out ones that are not in --photos."
                ]
            )
        with _Display() as display:
            scores = training.run(run, minutes=arguments.minutes, progress=display.progress, report=display.line)
    print(
        f"{folder / training.WEIGHTS}: step {run.step} of {config.steps}, "
        f"held-out PSNR {scores['held_out_psnr_soft']:.2f} dB soft, {scores['held_out_psnr_hard']:.2f} dB hard"
    )
    return 0


class _Display:
    """Show how far training is, on standard error: on a terminal in one line that is wiped, elsewhere once a minute."""

    def __enter__(self) -> _Display:
        self._terminal, self._due = sys.stderr.isatty(), -math.inf
        return self

    def progress(self, text: str) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if self._terminal or now > self._due:
            self._due = now + EVERY
            start, end = (WIPE, "") if self._terminal else ("", "\n")
            print(start + text, end=end, file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """Show a line that stays."""
        print((WIPE if self._terminal else "") + text, file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print(WIPE, end="", file=sys.stderr, flush=True)


def _make_run_folder(folder: Path, state: str) -> bool:
    """Make the folder of a run (its ``state`` is a file in it) unless it is there; True if it was made.
    Refuses one that holds other things, and a model without the state to go on from."""
    if os.path.isdir(folder):
        check_folder(folder / state)
        found = {name for name in os.listdir(folder) if name != LOCK and not is_unfinished(name)}
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
    where.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="picture to write: A, B, truth and matte of each scene; with --frames, its frames and truth",
    )
    where.add_argument(
        "--pairs",
        metavar="DIR",
        help="folder to make instead, with a/, b/ and truth/, for 'fusiongcn evaluate' and 'fusiongcn quantize'",
    )
    where.add_argument(
        "--stacks",
        metavar="DIR",
        help="folder to make instead, with a folder for each focus stack: its frames and truth.png; with --frames",
    )
    parser.add_argument(
        "--frames",
        type=whole_number(2, MOST_FRAMES),
        metavar="N",
        help="make focus stacks of N frames instead of pairs: wide blur, thin structures, slanted backgrounds, noise",
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
    if arguments.pairs is not None and arguments.frames is not None:
        raise FusionError("--pairs makes scenes of two photographs", fix="leave --frames out, or give --stacks")
    if arguments.stacks is not None and arguments.frames is None:
        raise FusionError("--stacks is given without --frames", fix="say how many frames a stack has, --frames 5 say")
    photographs = _photographs(arguments.photos)
    if arguments.pairs is not None:
        _write_pairs(arguments, photographs)
        return 0
    if arguments.stacks is not None:
        _write_stacks(arguments, photographs)
        return 0
    check_no_overwrite(photographs.paths, [arguments.output])
    check_writable(arguments.output, np.empty((1, 1), np.uint8))
    size, seed, count = arguments.size, arguments.seed, arguments.count
    if arguments.frames is None:
        sheet = contact_sheet(photographs, size, seed, count)
    else:
        sheet = stack_sheet(photographs, size, arguments.frames, seed, count)
    write_image(arguments.output, sheet)
    scenes, sources = pluralize(arguments.count, "scene"), pluralize(len(photographs), "photograph")
    print(f"{arguments.output}: {scenes} from {sources}")
    return 0


def _write_pairs(arguments: argparse.Namespace, photographs: Photographs) -> None:
    parts = ("a", "b", "truth")

    def images(index: int) -> dict[str, NDArray[np.uint8]]:
        scene = make_scene(photographs, arguments.size, arguments.seed, index)
        return {f"{part}/{index:04d}.png": getattr(scene, part) for part in parts}

    _write_scenes(Path(arguments.pairs), arguments.count, images)
    pairs, sources = pluralize(arguments.count, "pair"), pluralize(len(photographs), "photograph")
    print(f"{arguments.pairs}: {pairs} with the truth, from {sources}")


def _write_stacks(arguments: argparse.Namespace, photographs: Photographs) -> None:
    def images(index: int) -> dict[str, NDArray[np.uint8]]:
        stack = make_stack(photographs, arguments.size, arguments.frames, arguments.seed, index)
        shots = {f"{index:04d}/{number:02d}.png": frame for number, frame in enumerate(stack.frames)}
        return {**shots, f"{index:04d}/truth.png": stack.truth}

    _write_scenes(Path(arguments.stacks), arguments.count, images)
    stacks, sources = pluralize(arguments.count, "stack"), pluralize(len(photographs), "photograph")
    print(f"{arguments.stacks}: {stacks} of {arguments.frames} frames with the truth, from {sources}")


def _write_scenes(folder: Path, count: int, images: Callable[[int], dict[str, NDArray[np.uint8]]]) -> None:
    """Make a folder with ``images`` (by their paths in it) of each scene; all of it or nothing."""
    if os.path.lexists(folder):
        raise FusionError(f"{folder} exists, and no scenes are written over", fix="choose another name")
    images(0)  # refused before there is a folder
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FusionError(f"{folder} cannot be made", found=error.strerror, fix="choose another name") from None
    try:
        with Progress() as progress:
            for index in range(count):
                progress(f"scene {index + 1} of {count}")
                made = images(index)
                for name in made:
                    (folder / name).parent.mkdir(exist_ok=True)
                write_images({folder / name: image for name, image in made.items()})
    except BaseException:
        shutil.rmtree(folder)
        raise
