"""Power sensors of small boards, and the energy of a stretch of time.

A Raspberry Pi 5 tells current and voltage of its rails (``vcgencmd pmic_read_adc``; USB devices and the supply's own
loss are not in it, so it is an estimate). A Jetson has INA3221 sensors, of which the one for the whole board is taken
where it has that. Other machines have none that is worth the name.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from fusiongcn_edge.benchmarks.latency.device import ROOT, read, vcgencmd

WHOLE_BOARD = ("VDD_IN", "POM_5V_IN", "SYS_VIN", "VDD_TOTAL")


@dataclass(frozen=True)
class Sensor:
    """Something that tells the watts of this moment; ``interval``: seconds between two readings, so that they disturb
    nothing."""

    name: str
    watts: Callable[[], float | None]
    interval: float


def find_sensor(root: Path = ROOT) -> Sensor | None:
    """The sensor of this machine; None if it has none."""
    for sensor in (
        Sensor("Jetson INA3221", lambda: ina3221_watts(root), 0.1),
        Sensor("Raspberry Pi PMIC (sum of rails, an estimate)", lambda: pmic_watts(vcgencmd("pmic_read_adc")), 0.5),
    ):
        if sensor.watts() is not None:
            return sensor
    return None


def ina3221_watts(root: Path = ROOT) -> float | None:
    """Watts of a Jetson: the whole board's channel, or else the sum of all."""
    found: dict[str, float] = {}
    for label in sorted((root / "sys/bus/i2c/drivers/ina3221").glob("*/hwmon/hwmon*/in*_label")):
        number = label.name.removeprefix("in").removesuffix("_label")
        millivolts = read(label.with_name(f"in{number}_input"))
        milliamperes = read(label.with_name(f"curr{number}_input"))
        if millivolts.isdigit() and milliamperes.isdigit():
            found[f"{label.parent} {read(label)}"] = int(millivolts) * int(milliamperes) / 1e6
    whole = [watts for name, watts in found.items() if name.rpartition(" ")[2].upper() in WHOLE_BOARD]
    return sum(whole or found.values()) if found else None


def pmic_watts(text: str) -> float | None:
    """Watts from lines of ``vcgencmd pmic_read_adc``: ``VDD_CORE_A current(7)=1.2A``, ``VDD_CORE_V volt(15)=0.8V``."""
    values = {name: float(value) for name, value in re.findall(r"(\w+) (?:current|volt)\(\d+\)=([\d.]+)[AV]", text)}
    rails = [name.removesuffix("_A") for name in values if name.endswith("_A")]
    products = [values[f"{rail}_A"] * values[f"{rail}_V"] for rail in rails if f"{rail}_V" in values]
    return sum(products) if products else None


class PowerLog:
    """Reads a sensor in a thread, from ``with`` to its end; without a sensor it does nothing."""

    def __init__(self, sensor: Sensor | None) -> None:
        self._sensor = sensor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read_on, daemon=True)
        self.readings: list[tuple[float, float]] = []  # monotonic seconds, watts

    def __enter__(self) -> PowerLog:
        if self._sensor is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._sensor is not None:
            self._thread.join()

    def _read_on(self) -> None:
        assert self._sensor is not None
        while not self._stop.is_set():
            watts = self._sensor.watts()
            if watts is not None:
                self.readings.append((monotonic(), watts))
            self._stop.wait(self._sensor.interval)

    def watts(self, begin: float, end: float) -> float | None:
        """Mean power between two moments (``time.monotonic``); None if there are fewer than two readings in between."""
        inside = [watts for moment, watts in self.readings if begin <= moment <= end]
        return sum(inside) / len(inside) if len(inside) > 1 else None
