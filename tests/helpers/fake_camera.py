"""A stand-in for picamera2's camera."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

LAG = 2  # frames until a control has its effect
SETTLING = 14  # frames until the exposure is


class Picamera2:
    """As much of picamera2's class as is needed: the exposure drifts until it is locked, controls take time."""

    cameras: ClassVar[list[dict[str, Any]]] = [{"Model": "stand-in"}]
    controls: ClassVar[dict[str, tuple[float, float, float]]] = {"LensPosition": (0.0, 15.0, 1.0)}
    opened: ClassVar[list[Picamera2]] = []
    scene: ClassVar[list[NDArray[np.uint8]]] = []
    stuck = False

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return cls.cameras

    def __init__(self) -> None:
        self.opened.append(self)
        self.camera_controls = self.controls
        self.started = self.closed = False
        self.frame = 0
        self.state: dict[str, Any] = {"LensPosition": 1.0, "AeEnable": True, "AwbEnable": True, "AfMode": 2}
        self.pending: list[tuple[int, dict[str, Any]]] = []
        self.captured: list[dict[str, Any]] = []

    def create_still_configuration(self, main: dict[str, Any]) -> dict[str, Any]:
        return {"main": main}

    def configure(self, configuration: dict[str, Any]) -> None:
        assert configuration["main"] == {"format": "RGB888"}

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.started = False

    def close(self) -> None:
        self.closed = True

    def set_controls(self, controls: dict[str, Any]) -> None:
        assert set(controls) <= {
            "AfMode", "LensPosition", "AeEnable", "AwbEnable", "ExposureTime", "AnalogueGain", "ColourGains",
        }  # fmt: skip
        self.pending.append((self.frame + LAG, dict(controls)))

    def capture_metadata(self) -> dict[str, Any]:
        assert self.started
        self.frame += 1
        for due, controls in self.pending:
            if due <= self.frame and not (self.stuck and controls.get("LensPosition") == 6):
                self.state.update(controls)
        self.pending = [(due, controls) for due, controls in self.pending if due > self.frame]
        if self.state["AeEnable"]:
            self.state["ExposureTime"] = 1000 + 100 * min(self.frame, SETTLING) + int(50 * self.state["LensPosition"])
            self.state["AnalogueGain"] = 1.5
        if self.state["AwbEnable"]:
            self.state["ColourGains"] = (2.0, 1.5)
        return {**self.state, "AeLocked": self.frame >= SETTLING}

    def capture_array(self, name: str) -> NDArray[np.uint8]:
        assert name == "main"
        self.captured.append(self.capture_metadata())
        return self.scene[(0.5, 2.0, 6.0).index(self.state["LensPosition"])]
