"""What an engine is, which ones there are, and how one is opened."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle import Graph
from fusiongcn_edge.runtime.errors import EngineError

Arrays = Mapping[str, NDArray[Any]]

# engine -> (module of ours, library it needs, how to get that)
ENGINES = {
    "onnx": ("fusiongcn_edge.runtime.engines.onnx_engine", "onnxruntime", "pip install onnxruntime"),
}


class OpenGraph(Protocol):
    """A graph ready to run."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Named arrays in, named arrays out; an EngineError if the engine cannot."""


class Engine(Protocol):
    """An inference library on this machine."""

    name: str
    version: str
    provider: str  # what computes, as the library names it

    @property
    def providers(self) -> list[str]:
        """What the installed library could compute with."""

    def open(self, graph: Graph, threads: int, *, pooled: bool = False) -> OpenGraph:
        """Load a graph file. ``pooled``: one of many small graphs, which keep and share the memory they work in."""


def installed_engines() -> list[str]:
    """Names of the engines whose library is installed (found, not imported)."""
    return [name for name, (_, library, _) in ENGINES.items() if importlib.util.find_spec(library) is not None]


def get_engine(name: str) -> Engine:
    """The engine of that name.

    Raises
    ------
    EngineError
        If it is unknown, or its library is not installed or cannot be loaded.
    """
    if name not in ENGINES:
        raise EngineError(f"There is no engine {name!r}: choose one of {', '.join(ENGINES)}.")
    module, library, remedy = ENGINES[name]
    try:
        engine: Engine = importlib.import_module(module).ENGINE
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == library:
            raise EngineError(f"The engine {name!r} needs {library}, which is not installed: {remedy}.") from None
        raise EngineError(f"The engine {name!r} cannot be loaded ({error}): install {library} again.") from error
    return engine
