"""Count the steps of a long computation."""

from __future__ import annotations

from fusiongcn_edge.runtime.types import OnProgress


class ProgressCounter:
    """Tells how much of ``whole`` steps is done, each time that another hundredth of them is."""

    def __init__(self, whole: int, share: OnProgress | None) -> None:
        self._done, self._whole, self._share = 0, whole, share

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        done, before = (100 * number // self._whole for number in (self._done, self._done - 1))
        if self._share is not None and done > before:
            self._share(done / 100)
