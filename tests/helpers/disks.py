"""Disks that fill up."""

from __future__ import annotations

import errno
import os

import pytest


def fill_after(patch: pytest.MonkeyPatch, step: str, successes: int) -> None:
    """Let ``os.fsync`` or another ``step`` fail for want of space once it has succeeded so many times."""
    original, calls = getattr(os, step), []

    def full_later(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > successes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    patch.setattr(os, step, full_later)
