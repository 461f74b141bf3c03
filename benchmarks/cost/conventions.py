"""What counts as a cost, for graphs of every format.

*Multiply-accumulates* (MACs; FLOPs are twice that) are those of convolutions, also transposed, and of matrix products:
``Conv``, ``ConvTranspose``, ``MatMul``, ``Gemm`` of ONNX and their integer forms; ``CONV_2D``, ``CONV_3D``,
``DEPTHWISE_CONV_2D``, ``TRANSPOSE_CONV``, ``FULLY_CONNECTED``, ``BATCH_MATMUL`` of TFLite. A product with the zeros
around an image counts, an addition of a bias does not. All else that computes (activations, normalisation, sums,
multiplications of two tensors) is apart, as *other operations*: one for each element of the larger of what goes in
and what comes out. Moving, cutting, spreading and (de)quantizing count nothing; nor does what hangs on constants
alone, which an engine computes once, when it opens the graph.

*Parameters* are the numbers of constant arrays that such operators read (scalars, sizes and indices are none), once for
each distinct array, in whatever order it is stored. Quantized weights count as the weights they stand for; their
scales are in the bytes alone. *Activation bytes* are what lies between operators, at most at once, if each array is
freed after its last use, none is written in place and a reshaped one is no copy.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Weights:
    """A constant array: ``key`` is the same for the same numbers in any order."""

    key: str
    params: int
    bytes: int


@dataclass(frozen=True)
class Node:
    """One operator in one run: ``pixels`` are those of the image it gives, 0 if it gives none."""

    name: str
    operator: str
    shape: Shape
    pixels: int
    macs: int
    other: int
    weights: tuple[Weights, ...]


@dataclass(frozen=True)
class Count:
    """One run of a graph: its operators, the shapes it gives, and what it does not know how to count."""

    nodes: tuple[Node, ...]
    outputs: dict[str, Shape]
    activation_bytes: int
    uncounted: tuple[str, ...] = ()


class Countable(Protocol):
    """A graph that can be counted."""

    def count(self, inputs: Mapping[str, Shape]) -> Count:
        """One run with inputs of these shapes."""


def weights_of(array: NDArray[Any], more_bytes: int = 0, params: int | None = None) -> Weights:
    """A constant array of a file, and what is stored beside it to read it; ``params``, if several share a byte."""
    content = hashlib.sha256(np.sort(array, axis=None).tobytes()).hexdigest()
    return Weights(f"{array.dtype.str} {content}", array.size if params is None else params, array.nbytes + more_bytes)


def distinct(nodes: Sequence[Node]) -> dict[str, Weights]:
    """The weights of some operators, each array once."""
    return {weights.key: weights for node in nodes for weights in node.weights}


def elements(shape: Shape) -> int:
    """Numbers in an array of a shape."""
    return math.prod(shape)


def peak_bytes(
    steps: Sequence[tuple[Sequence[str], Sequence[str]]],
    sizes: Mapping[str, int],
    views: Mapping[str, str],
    results: Sequence[str],
) -> int:
    """Most bytes alive at once over steps (names read, names given); ``views`` are other names of the same bytes.

    What is in no ``sizes`` (constants) takes nothing. Results stay; what nothing gave was there from the beginning.
    """

    def origin(name: str) -> str:
        met = set()
        while name in views and name not in met:  # a damaged graph may go round in circles
            met.add(name)
            name = views[name]
        return name

    named = [({origin(n) for n in read}, {origin(n) for n in given}) for read, given in steps]
    last = {name: index for index, (read, given) in enumerate(named) for name in read | given}
    last |= {origin(name): len(named) for name in results}
    given_at_all = {name for read, given in named for name in given - read}
    live = {name for name in last if name not in given_at_all}
    most = sum(sizes.get(name, 0) for name in live)
    for index, (_, given) in enumerate(named):
        live |= given
        most = max(most, sum(sizes.get(name, 0) for name in live))
        live = {name for name in live if last[name] > index}
    return most
