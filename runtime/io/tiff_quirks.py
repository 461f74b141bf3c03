"""Correct or refuse what OpenCV reads wrong in a TIFF file."""

from __future__ import annotations

from fusiongcn_edge.runtime.io import containers

PHOTOMETRIC, SAMPLES, PLANES, EXTRA_SAMPLES = 262, 277, 284, 338  # tags
WHITE_IS_ZERO, SEPARATE, UNASSOCIATED = 0, 2, 2  # values of the first, third and fourth


def strip_alpha_association(data: bytes) -> bytes:
    """Clear the tag of a TIFF file that calls its fourth channel ordinary (unassociated) alpha: OpenCV would multiply
    8-bit colours with it. Return files of other formats as they are."""
    for tag, value, place in containers.tiff_integers(data):
        if (tag, value) == (EXTRA_SAMPLES, UNASSOCIATED):
            data = data[: place.start] + bytes(place.stop - place.start) + data[place.stop :]
    return data


def sixteen_bit_fault(data: bytes) -> str | None:
    """Say what OpenCV reads wrong in a TIFF file of 16 bits per channel; None if nothing, or in other formats."""
    found = {tag: value for tag, value, _ in containers.tiff_integers(data)}
    if found.get(PLANES) == SEPARATE and found.get(SAMPLES, 1) > 1:
        return "its colours lie one after the other, not side by side"
    return "white is 0 in it" if found.get(PHOTOMETRIC) == WHITE_IS_ZERO else None
