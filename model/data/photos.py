"""A folder of photographs to make scenes from."""

from __future__ import annotations

import glob
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError, ImageError, ImageTooLargeError
from fusiongcn_edge.runtime.io.files import read_file
from fusiongcn_edge.runtime.io.headers import read_header
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import is_photograph
from fusiongcn_edge.runtime.io.pixels import eight_bit_colour

Float32 = NDArray[np.float32]
SMALLEST_PHOTOGRAPH = 64  # pixels on the shorter side
BEGINNING = 1 << 16  # bytes of a file that tell it from others: reading gigabytes once more would take its time


class Photographs:
    """The photographs of a folder, with their segmentations where there are any.

    A segmentation is an integer image of region labels, ``segments/NAME_k.png`` beside the photograph's own folder.
    Unreadable and too small files are skipped; ``skipped`` names them.

    Raises
    ------
    FusionError
        If no photograph is left, they do not fit into memory, or a segmentation is not of its photograph's size.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FusionError(f"{self.folder} is no folder", fix="give a folder of photographs")
        candidates = [
            path
            for path in sorted(self.folder.rglob("*"))
            if is_photograph(path) and "segments" not in path.relative_to(self.folder).parts
        ]
        self.skipped: list[str] = []
        self.paths: list[Path] = []
        self._images: list[NDArray[np.uint8]] = []
        for path in candidates:
            try:
                image = eight_bit_colour(read_image(path))
            except ImageTooLargeError:
                if self.paths:
                    raise FusionError(
                        f"{len(self.paths)} of {len(candidates)} photographs in {self.folder} fill the memory that is "
                        "free, and all are kept while training",
                        fix="give fewer or smaller ones",
                    ) from None
                raise
            except ImageError as error:
                self.skipped.append(str(error))
                continue
            if min(image.shape[:2]) < SMALLEST_PHOTOGRAPH:
                self.skipped.append(f"{path} is smaller than {SMALLEST_PHOTOGRAPH} pixels.")
                continue
            self.paths.append(path)
            self._images.append(image)
        if not self.paths:
            raise FusionError(
                f"{self.folder} holds no photograph that can be used",
                found=f"{len(self.skipped)} skipped",
                fix=f"give a folder with images of at least {SMALLEST_PHOTOGRAPH} pixels on each side",
            )
        self._segments = [segmentations(path) for path in self.paths]
        for index, files in enumerate(self._segments):
            for file in files:
                self._check_size(index, file, _declared_size(file))

    def __len__(self) -> int:
        return len(self.paths)

    def fingerprint(self) -> str:
        """What tells these photographs and segmentations from others, wherever they lie: 64 hex digits, of the names,
        the sizes and how the files begin.
        """
        digest = hashlib.sha256()
        for path in [*self.paths, *(file for files in self._segments for file in files)]:
            with open(path, "rb") as file:
                digest.update(f"{path.name!r} {os.fstat(file.fileno()).st_size} ".encode())
                digest.update(file.read(BEGINNING))
        return digest.hexdigest()

    def crop(self, rng: np.random.Generator, size: int) -> tuple[Float32, NDArray[np.int32] | None]:
        """A random square of a random photograph (float32 BGR, 0 to 255) with its segmentation, if it has one."""
        index = int(rng.integers(len(self)))
        image = self._images[index]
        segments = self._segmentation(index, int(rng.integers(8)))
        height, width = image.shape[:2]
        side = int(min(height, width, round(size * rng.uniform(1.0, 1.8))))  # shrinking makes photographs crisper
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        flip, turn = rng.random() < 0.5, int(rng.integers(4))

        def cut(array: NDArray[Any], interpolation: int) -> NDArray[Any]:
            part = cv2.resize(array[top : top + side, left : left + side], (size, size), interpolation=interpolation)
            return np.ascontiguousarray(np.rot90(part[:, ::-1] if flip else part, turn))

        smooth = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
        photograph = np.clip(cut(image, smooth).astype(np.float32), 0, 255)
        if segments is None:
            return photograph, None
        return photograph, cut(segments.astype(np.float32), cv2.INTER_NEAREST).astype(np.int32)

    def _segmentation(self, index: int, which: int) -> NDArray[np.uint16] | None:
        files = self._segments[index]
        if not files:
            return None
        file = files[which % len(files)]
        segments = _read_segments(str(file))
        self._check_size(index, file, segments.shape)  # once more: the file may be another one by now
        return segments

    def _check_size(self, index: int, file: Path, size: tuple[int, ...]) -> None:
        height, width = self._images[index].shape[:2]
        if size != (height, width):
            raise FusionError(
                f"{file} is not of the size of {self.paths[index]}",
                found=f"{size[1]}x{size[0]}",
                allowed=f"{width}x{height}",
                fix="mend or remove it",
            )


def segmentations(photograph: Path) -> list[Path]:
    """``segments/NAME_k.png`` beside the folder of a photograph NAME; k is a number."""
    found = (photograph.parent.parent / "segments").glob(f"{glob.escape(photograph.stem)}_*.png")
    return sorted(path for path in found if path.stem.removeprefix(f"{photograph.stem}_").isdecimal())


def _declared_size(path: Path) -> tuple[int, int]:
    """Height and width that a segmentation's file states: decoding them all would take as long as the photographs."""
    try:
        found = read_header(read_file(path))
    except OSError as error:
        raise FusionError(f"{path} cannot be read", found=error.strerror, fix="mend or remove it") from None
    if found is None:
        raise FusionError(
            f"{path} is no segmentation", fix="it must be a gray image of region labels. Mend or remove it"
        )
    return found.height, found.width


@lru_cache(maxsize=1024)
def _read_segments(path: str) -> NDArray[np.uint16]:
    segments = read_image(path)
    if segments.ndim != 2:
        raise FusionError(
            f"{path} is no segmentation", fix="it must be a gray image of region labels. Mend or remove it"
        )
    return segments.astype(np.uint16)
