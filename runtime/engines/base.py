"""What an engine is, which ones there are, and how one is opened."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Graph
from fusiongcn_edge.runtime.errors import EngineError
from fusiongcn_edge.runtime.text import install_hint

Arrays = Mapping[str, NDArray[Any]]

# engine -> (module of ours, libraries of which it needs one, how to get that); the first that is installed is taken
ENGINES = {
    "onnx": ("fusiongcn_edge.runtime.engines.onnxruntime_engine", ("onnxruntime",), "pip install onnxruntime"),
    "litert": (
        "fusiongcn_edge.runtime.engines.litert_engine",
        ("ai_edge_litert", "tflite_runtime"),
        install_hint("tflite"),
    ),
}
# the same engines computing elsewhere than on the CPU, on request only -> (engine, provider as the library names it)
ACCELERATED = {
    "onnx-cuda": ("onnx", "CUDAExecutionProvider"),
    "onnx-tensorrt": ("onnx", "TensorrtExecutionProvider"),
}


class Session(Protocol):
    """A graph ready to run."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Named arrays in, named arrays out; an EngineError if the engine cannot."""


class Engine(Protocol):
    """An inference library on this machine."""

    name: str
    version: str
    provider: str  # what computes, as the library names it
    channels_last: bool  # how images should lie in memory, n x R x W x C, so that they need not be moved

    @property
    def providers(self) -> list[str]:
        """What the installed library could compute with."""

    def check_precision(self, precision: str) -> None:
        """An EngineError if the library gives wrong answers, or none, with weights of that precision."""

    def load(self, graph: Graph, threads: int, *, shared_arena: bool = False) -> Session:
        """Load a graph file. ``shared_arena``: its working memory is kept, and shared with other graphs."""


def cannot_open(library: str, file: str, error: Exception) -> EngineError:
    """What is told when an engine's library refuses a graph file."""
    return EngineError(f"{library} cannot open {file}", found=_first_line(error), fix="export it again")


def failed(library: str, file: str, error: Exception) -> EngineError:
    """What is told when an engine's library gives up while it runs a graph."""
    return EngineError(
        f"{library} failed in {file}",
        found=_first_line(error),
        fix="if memory ran out, use smaller photographs or close other programs",
    )


def checked(graph: Graph, inputs: Arrays, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a graph gave, if it is what its bundle says; free dimensions with the name of an input's are as long.

    Raises
    ------
    EngineError
        If an array is of another type or shape.
    """
    lengths: dict[int | str, int] = {}
    for name, (_, shape) in graph.inputs.items():
        lengths |= zip(shape, inputs[name].shape, strict=False)
    for name, (dtype, shape) in graph.outputs.items():
        found = outputs[name]
        expected = tuple(side if isinstance(side, int) else lengths.get(side) for side in shape)
        fits = len(found.shape) == len(expected) and all(
            side in (None, own) for side, own in zip(expected, found.shape, strict=True)
        )
        if found.dtype.name != dtype or not fits:
            raise wrong_output(graph.file, name, found, f"{dtype} {shape}")
    return dict(outputs)


def wrong_output(file: str, name: str, found: NDArray[Any], expected: str) -> EngineError:
    """What is told when a graph gives an array that its bundle does not speak of."""
    return EngineError(
        f"{file} gives {name} as {found.dtype} {found.shape} instead of {expected}, so it is the file of another model",
        fix="export it again",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


GraphHook = Callable[[Graph, Arrays], None]


class TracingEngine:
    """An engine whose every run is told to ``watch`` first: the graph, and what it is given."""

    def __init__(self, engine: Engine, watch: GraphHook) -> None:
        self._engine, self._watch = engine, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def load(self, graph: Graph, threads: int, *, shared_arena: bool = False) -> Session:
        """As the engine itself."""
        return _TracingSession(self._engine.load(graph, threads, shared_arena=shared_arena), graph, self._watch)


@dataclass(frozen=True)
class _TracingSession:
    opened: Session
    graph: Graph
    watch: GraphHook

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.watch(self.graph, inputs)
        return self.opened.run(inputs)


def installed_engines() -> list[str]:
    """Names of the engines whose library is installed (found, not imported)."""
    return [
        name
        for name, (_, libraries, _) in ENGINES.items()
        if any(importlib.util.find_spec(library) is not None for library in libraries)
    ]


def bundle_engine(name: str) -> str:
    """The engine whose bundles an engine takes: ``onnx`` of ``onnx-cuda``.

    Raises
    ------
    EngineError
        If there is no engine of that name.
    """
    base = ACCELERATED[name][0] if name in ACCELERATED else name
    if base not in ENGINES:
        raise EngineError(f"There is no engine {name!r}", fix=f"choose one of {', '.join([*ENGINES, *ACCELERATED])}")
    return base


def get_engine(name: str) -> Engine:
    """The engine of that name, of ``ENGINES`` or ``ACCELERATED``.

    Raises
    ------
    EngineError
        If it is unknown, its library is not installed or cannot be loaded, or has no such provider.
    """
    module, libraries, remedy = ENGINES[bundle_engine(name)]
    wanted = " or ".join(libraries)
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name in libraries:
            raise EngineError(f"The engine {name!r} needs {wanted}, which is not installed", fix=remedy) from None
        raise EngineError(
            f"The engine {name!r} cannot be loaded", found=error, fix=f"install {wanted} again"
        ) from error
    engine: Engine = loaded.accelerated(name, ACCELERATED[name][1]) if name in ACCELERATED else loaded.ENGINE
    return engine
