"""Asking a training run to stop."""

from __future__ import annotations

import signal
import time


class StopRequest:
    """Lets the step in hand be finished when the process is asked to stop (``SIGNALS``); asked again, it stops.

    A signal may come to a process and to its group: what comes again within ``ONCE`` seconds is the same one.
    """

    ONCE = 2.0

    SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

    def __init__(self) -> None:
        self.requested: int | None = None  # the signal's number
        self._since = 0.0

    def __enter__(self) -> StopRequest:
        heard = [number for number in self.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # not under nohup
        self._before = {number: signal.signal(number, self._request) for number in heard}
        return self

    def _request(self, number: int, _: object) -> None:
        if self.requested is None:
            self.requested, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > self.ONCE:
            raise KeyboardInterrupt(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
