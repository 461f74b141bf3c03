"""A Raspberry Pi's camera whose lens can be moved, through picamera2, which comes with the system."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError

METERING = 10, 90  # frames, at least and at most, until exposure and white balance are settled
MOVING = 60  # frames that the lens and the controls have to get where they are wanted
RESTING = 3  # frames more, for the lens to stand still
NEAR_ENOUGH = 0.1  # dioptres
MANUAL_FOCUS = 0  # AfMode


class CameraError(FusionError):
    """A camera that is not there or does not do what is needed."""


def photographs_at(positions: Sequence[float]) -> Generator[NDArray[np.uint8], None, None]:
    """Photographs of what is in front of the camera, all with the exposure and white balance of the first.

    Parameters
    ----------
    positions : sequence of float
        Of the lens, one for each photograph, in dioptres: 0 is infinity, 10 is 10 cm.

    Yields
    ------
    uint8 H x W x 3, BGR, of all pixels of the sensor

    Raises
    ------
    CameraError
        If picamera2 or the camera is missing, or its lens cannot go there.
    """
    camera = _open()
    try:
        least, most = _range(camera)
        for position in positions:
            if not least <= position <= most:
                raise CameraError(
                    f"The lens cannot go to {position:g} dioptres", fix=f"give positions from {least:g} to {most:g}"
                )
        # picamera2 calls BGR in memory RGB888
        camera.configure(camera.create_still_configuration(main={"format": "RGB888"}))
        camera.start()
        camera.set_controls({"AfMode": MANUAL_FOCUS, "LensPosition": float(positions[0])})
        camera.set_controls(_metered(camera))
        for position in positions:
            camera.set_controls({"LensPosition": float(position)})
            _wait_for(camera, position)
            yield np.ascontiguousarray(camera.capture_array("main")[:, :, :3])
        camera.stop()
    finally:
        camera.close()


def _open() -> Any:
    try:
        from picamera2 import Picamera2
    except ImportError:
        raise CameraError(
            "The camera needs picamera2, which is not here",
            fix=(
                "on a Raspberry Pi, 'sudo apt install python3-picamera2', "
                "and make the virtual environment with --system-site-packages"
            ),
        ) from None
    try:
        if not Picamera2.global_camera_info():
            raise CameraError(
                "No camera was found", fix="check its cable, and that 'rpicam-hello --list-cameras' shows it"
            )
        return Picamera2()
    except (RuntimeError, IndexError, OSError) as error:  # another program has it
        raise CameraError("The camera cannot be opened", found=error, fix="close what else uses it") from None


def _range(camera: Any) -> tuple[float, float]:
    if "LensPosition" not in camera.camera_controls:
        raise CameraError(
            "This camera's lens cannot be moved", fix="use one with autofocus, the Camera Module 3 for example"
        )
    least, most = camera.camera_controls["LensPosition"][:2]
    return float(least), float(most)


def _metered(camera: Any) -> dict[str, Any]:
    """The controls that hold exposure and white balance where they settled."""
    least, most = METERING
    metadata: dict[str, Any] = {}
    for number in range(most):
        metadata = camera.capture_metadata()
        if number >= least and metadata.get("AeLocked", True):
            break
    names = "ExposureTime", "AnalogueGain", "ColourGains"
    held: dict[str, Any] = {name: metadata[name] for name in names if name in metadata}
    return {"AeEnable": False, "AwbEnable": False, **held}


def _wait_for(camera: Any, position: float) -> None:
    for _ in range(MOVING):
        if abs(camera.capture_metadata().get("LensPosition", position) - position) < NEAR_ENOUGH:
            break
    else:
        raise CameraError(f"The lens did not go to {position:g} dioptres", fix="check the camera")
    for _ in range(RESTING):
        camera.capture_metadata()
