"""Folders of pairs, of stacks, of photographs to calibrate and to train with: odd names, odd things, odd pictures."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fusiongcn_edge.calibration.calibration_data import pairs_from
from fusiongcn_edge.runtime.batch.discovery import find_items
from fusiongcn_edge.runtime.batch.records import fingerprint, is_up_to_date
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.io.validation import check_pair
from fuzz.photographs import small
from fuzz.reader import Reader, changed_bytes, scratch

NAMES = [b"a", b"b", b"truth", b"segments", b"1.png", b"1.jpg", b"2.png", b"1_0.png", b"[1].png", b"*.png", b"**.png",
         b"?.png", b"a.png", b".png", b".hidden.png", b"new\nline.png", b"\xff\xfe.png", b"\x1b[31m.png", b"x" * 250,
         b"-o.png", b" .png", b"1.PNG", b"1.heic", b"1.dng", b"1.", b"~", b"{}.png", b"1 (2).png"]  # fmt: skip
DEEPEST = 4


def _picture(number: int) -> np.ndarray:
    shapes: list[tuple[int, ...]] = [(40, 40, 3), (40, 40), (40, 40, 4), (41, 40, 3), (1, 1), (1, 300, 3), (130, 130)]
    kind = np.uint16 if number % 16 // 8 else np.uint8
    picture = small(shapes[number % len(shapes)], kind)
    return picture if number % 3 else picture // 257 if kind is np.uint16 else picture * 0 + 7


def build(data: bytes, root: Path) -> None:
    """A tree as the bytes say: three of them for each thing, its place, its name and what it is."""
    folders = [root]
    for at in range(0, len(data) - 2, 3):
        place, name, what = data[at : at + 3]
        path = folders[place % len(folders)] / os.fsdecode(NAMES[name % len(NAMES)])
        if os.path.lexists(path) or len(path.parts) - len(root.parts) > DEEPEST:
            continue
        if what % 8 < 3:
            path.mkdir()
            folders.append(path)
        elif what % 8 < 6:
            write_image(root.parent / "picture.png", _picture(what // 8))
            shutil.move(root.parent / "picture.png", path)
        elif what == 6:
            path.write_bytes(b"")
        elif what == 14:
            path.symlink_to(root)
        elif what == 22:
            path.symlink_to("nowhere")
        elif what == 30:
            os.mkfifo(path)
        elif what == 38:
            path.symlink_to("/dev/zero")
        else:
            path.write_bytes(data)


def _seeds() -> list[bytes]:
    def thing(place: int, name: bytes, what: int) -> bytes:
        return bytes([place, NAMES.index(name), what])

    pair = thing(0, b"a", 0) + thing(0, b"b", 0)
    pairs = [
        pair + thing(1, name, 11) + thing(2, name, 3) for name in (b"1.png", b"[1].png", b"*.png", b"\xff\xfe.png")
    ]
    pairs += [pair + thing(1, b"1.png", 3) + thing(2, b"1.png", what) for what in (19, 22, 30, 38, 6, 43)]
    stack = thing(0, b"~", 0) + thing(1, b"1.png", 3) + thing(1, b"2.png", 11) + thing(1, b"new\nline.png", 3)
    return [*pairs, stack, stack + pairs[0], thing(0, b"~", 14) + pairs[0], thing(0, b"segments", 0) + pairs[1]]


def read_folder(data: bytes) -> None:
    """What every command that takes a folder does with it."""
    root = scratch() / "folder" / "root"
    shutil.rmtree(root.parent, ignore_errors=True)
    root.mkdir(parents=True)
    build(data, root)
    refused = [_refused(use, root) for use in (_paired, _batched, _calibrated, _trained)]
    for error in filter(None, refused):
        raise error


def _refused(use: Callable[[Path], None], root: Path) -> FusionError | None:
    try:
        use(root)
    except FusionError as error:
        return error
    return None


def _paired(root: Path) -> None:
    for pair in list(find_pairs(root)):
        assert pair.a.stem == pair.b.stem == pair.name
        truth = pair.beside("truth")
        assert truth is None or truth.stem == pair.name


def _batched(root: Path) -> None:
    output = root.parent / "out"
    items = find_items(root, output)
    assert len({item.name for item in items}) == len(items)
    for item in items:
        made = (output / f"{item.name}.png").resolve()
        assert made.is_relative_to(output.resolve()), item.name
        is_up_to_date(made, fingerprint(item, {}))
        if item.error is None and item.pair:
            check_pair(read_image(item.sources[0]), read_image(item.sources[1]), 16)


def _calibrated(root: Path) -> None:
    found = pairs_from(root, 2, 0)
    assert found.pairs


def _trained(root: Path) -> None:
    from fusiongcn_edge.model.data.photos import Photographs

    photographs = Photographs(root)
    for seed in range(4):
        photograph, segments = photographs.crop(np.random.default_rng(seed), 32)
        assert photograph.shape == (32, 32, 3)
        assert segments is None or segments.shape == (32, 32)


def _changed(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.3 or len(data) < 3:
        return changed_bytes(data, rng)
    changed = bytearray(data)
    at = rng.randrange(0, len(changed), 3)
    if rng.random() < 0.5:
        changed[at:at] = bytes([rng.randrange(6), rng.randrange(len(NAMES)), rng.randrange(64)])
    else:
        changed[min(at + rng.randrange(3), len(changed) - 1)] = rng.randrange(64)
    return bytes(changed)


READERS = [Reader("folders", _seeds, read_folder, _changed, 90, ("model.photographs",))]
