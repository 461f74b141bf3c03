"""How something is refused: in a sentence that is clear."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fusiongcn_edge.runtime import FusionError
from fuzz.reader import unclear


def refusal(function: Callable[..., object], *arguments: object, **named: object) -> str:
    with pytest.raises(FusionError) as caught:
        function(*arguments, **named)
    assert unclear(str(caught.value)) is None
    return str(caught.value)
