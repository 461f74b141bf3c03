"""Arrays given to ``Fuser.fuse``, ``Fuser.fuse_stack`` and ``align_frames``, as odd as arrays can be."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np

from fusiongcn_edge.runtime import Fuser, align_frames
from fuzz.reader import Reader

KINDS = [
    "uint8", "uint16", "float32", "float64", "int8", "int16", "int32", "int64", "bool", "object", "S3", "U2", "float16",
    "complex64", ">u2", "uint32", "datetime64[s]", "V4",
]  # fmt: skip
SIDES = [16, 17, 24, 33, 64, 100, 0, 1, 2, 3, 7, 8, 15, 1000]
CHANNELS = [None, 3, 4, 0, 1, 2, 5]


@cache
def _fuser() -> Fuser:
    return Fuser.open("fusiongcn-lite", engine="onnx", threads=1)


@cache
def _published() -> Fuser:
    return Fuser.open("fusiongcn", engine="onnx", threads=1)


def array(code: bytes) -> Any:
    """An array as six bytes say: kind, height, width, channels, content, how it lies in memory."""
    kind, height, width, channels, content, layout = code
    if kind >= 250:
        return [None, 7, "photograph", [[1, 2], [3, 4]], b"xx", 1.5][kind - 250]
    shape: tuple[int, ...] = (SIDES[height % len(SIDES)], SIDES[width % len(SIDES)])
    last = CHANNELS[channels % len(CHANNELS)]
    shape += () if last is None else (last,)
    if channels >= 250:
        shape = shape[: channels - 250] if channels < 253 else (*shape, 3, 1)[: channels - 249]
    dtype = np.dtype(KINDS[kind % len(KINDS)])
    rng = np.random.default_rng(content)
    values = rng.integers(0, 256, shape) if content % 4 else np.full(shape, content)
    if dtype.kind == "f" and content % 3 == 0:
        found = np.where(values % 3 == 0, np.nan, np.where(values % 3 == 1, np.inf, values)).astype(dtype)
    elif dtype.kind in "SUMVOc":
        found = np.zeros(shape, dtype)
    else:
        found = (values * (257 if dtype.itemsize == 2 and dtype.kind == "u" else 1)).astype(dtype)
    return _laid(found, layout)


def _laid(found: np.ndarray, layout: int) -> Any:
    """The same content, or nearly, lying otherwise in memory."""
    way = layout % 9
    if way == 1:
        return found[::-1] if found.ndim else found
    if way == 2 and found.ndim > 1:
        return np.asfortranarray(found)
    if way == 3 and found.ndim > 1:
        return found[:, ::-1]
    if way == 4 and found.ndim > 2:
        return found[..., ::-1]
    if way == 5:
        found.setflags(write=False)
        return found
    if way == 6 and found.ndim:
        return np.broadcast_to(found[:1], found.shape) if len(found) else found
    if way == 7 and found.ndim > 1:
        return np.ma.masked_array(found, np.zeros(found.shape, bool))
    if way == 8 and found.ndim > 1:
        return np.repeat(found, 2, axis=1)[:, ::2]
    return found


def read_arrays(data: bytes) -> None:
    """The first byte says what is done; then six for each array, where zeros repeat the one before."""
    given: list[Any] = []
    for at in range(1, min(len(data), 25) - 5, 6):
        code = data[at : at + 6]
        given.append(given[-1] if given and not any(code) else array(code))
    what = data[0] if data else 0
    before = [np.array(each, copy=True) for each in given if isinstance(each, np.ndarray)]
    if what % 3 == 0 and len(given) >= 2:
        _check(given[0], (_published() if what >= 252 else _fuser()).fuse(given[0], given[1], hard=what % 2 == 1))
    elif what % 3 == 1:
        result = _fuser().fuse_stack(given)
        assert result.image.shape == given[0].shape
        assert sorted(result.order) == list(range(len(given)))
        assert result.source_index.max() < len(given)
    else:
        model = ["shift", "similarity", "affine", "homography", "none", "twist"][what // 3 % 6]
        options = {
            "keep_full_frame": bool(what & 32),
            "match_exposure": bool(what & 64),
            "skip_failed": bool(what & 128),
        }
        frames = align_frames(given, model, **options)
        shapes = {frames[number].shape for number in range(len(frames))}
        assert len(shapes) == 1
    for old, new in zip(before, (each for each in given if isinstance(each, np.ndarray)), strict=True):
        assert old.tobytes() == np.array(new, copy=True).tobytes(), "an array was written to"


def _check(first: np.ndarray, result: Any) -> None:
    assert result.image.shape == first.shape
    assert result.image.dtype == first.dtype
    assert result.decision.shape == first.shape[:2]
    assert np.isfinite(result.probability).all()
    assert result.labels.shape == first.shape[:2]


def _seeds() -> list[bytes]:
    one, other = bytes([0, 3, 4, 1, 1, 0]), bytes([0, 3, 4, 1, 2, 0])
    found = [bytes([what]) + one + other for what in (0, 1, 2, 5, 8, 11, 32, 64, 128, 252)]
    found += [bytes([what]) + one + bytes(6) + other + one for what in (1, 2, 35)]
    for kind in (1, 2, 9, 14):
        found.append(bytes([0, kind]) + one[1:] + bytes([kind]) + other[1:])
    for layout in range(9):
        found += [bytes([what]) + one[:5] + bytes([layout]) + other[:5] + bytes([layout]) for what in (0, 1, 5)]
    for height, width in ((7, 7), (6, 6), (0, 13), (13, 0), (7, 13)):
        found += [bytes([what, 0, height, width, 1, 1, 0, 0, height, width, 1, 2, 0]) for what in (0, 1, 2)]
    return found


def _changed(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(changed) + 1)
        if at == len(changed):
            changed += bytes(rng.randrange(256) for _ in range(6))
        else:
            changed[at] = rng.choice([rng.randrange(256), rng.randrange(20)])
    if len(changed) >= 13 and rng.random() < 0.6:  # arrays that differ in their content alone reach furthest
        changed[7:11] = changed[1:5]
    return bytes(changed)


READERS = [Reader("arrays", _seeds, read_arrays, _changed, 25)]
