"""What messages of several modules say alike."""

from __future__ import annotations


def pluralize(number: int, thing: str) -> str:
    """``1 photograph``, ``2 photographs``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def install_hint(extra: str) -> str:
    """The command that brings an extra. Nothing is published under the project's name yet: it is in a checkout only."""
    return f"pip install '.[{extra}]' in the checkout"
