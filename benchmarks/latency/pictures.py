"""Small pictures of a measured pair, as they stand in the JSON and in a report's page."""

from __future__ import annotations

import base64
from typing import Any

import cv2
from numpy.typing import NDArray

from fusiongcn_edge.runtime.fuser import Fuser
from fusiongcn_edge.runtime.fusion.preview import thumbnail
from fusiongcn_edge.runtime.io.images import read_image


def pair_pictures(fuser: Fuser, a: str, b: str) -> dict[str, str]:
    """Fuse two files once more, and give both photographs, the decision map and the fused image as data URIs."""
    first, second = read_image(a), read_image(b)
    result = fuser.fuse(first, second)
    shown = {"first": first, "second": second, "decision": result.decision.astype("uint8") * 255, "fused": result.image}
    return {name: data_uri(thumbnail(picture)) for name, picture in shown.items()}


def data_uri(picture: NDArray[Any]) -> str:
    """Encode a uint8 picture as a JPEG in a data URI."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
