"""How something is refused: in a sentence that is clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from fusiongcn_edge.runtime import FusionError
from fuzz.reader import unclear

Error = TypeVar("Error", bound=FusionError)


def refusal(function: Callable[..., object], *arguments: object, **named: object) -> str:
    with pytest.raises(FusionError) as caught:
        function(*arguments, **named)
    assert unclear(str(caught.value)) is None
    return str(caught.value)


def refused(kind: type[Error], function: Callable[..., object], *arguments: object, **named: object) -> Error:
    """The error, of exactly this class, with which something is refused."""
    with pytest.raises(kind) as caught:
        function(*arguments, **named)
    assert type(caught.value) is kind
    assert unclear(str(caught.value)) is None
    return caught.value
