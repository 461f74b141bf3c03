"""ONNX Runtime."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Graph
from fusiongcn_edge.runtime.engines.base import Arrays, cannot_open, checked, failed
from fusiongcn_edge.runtime.errors import EngineError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# Threads that wait for the next operator spin so many microseconds, if this version of the library can be told so, and
# not at all between runs: the preprocessing, or another program, may have the core.
BRIEFLY = {"intra_op.allow_spinning": "1", "intra_op.spin_duration_us": "20", "force_spinning_stop": "1"}
VERSION = tuple(int(number) for number in onnxruntime.__version__.split(".")[:2])
WAITING = BRIEFLY if VERSION >= (1, 26) else {"intra_op.allow_spinning": "0"}
POOL = 1 << 25  # bytes that the arena begins with; one that grows from less is torn into pieces and wastes 10 MB
ACCELERATED_REMEDY = "install a build of ONNX Runtime for this GPU and its CUDA, or take the engine 'onnx'"


class OnnxGraph:
    """One inference session."""

    def __init__(self, graph: Graph, threads: int, providers: list[str], shared_arena: bool) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal errors only: what matters is raised
        options.intra_op_num_threads = threads
        for name, value in WAITING.items():
            options.add_session_config_entry(f"session.{name}", value)
        options.enable_mem_pattern = False  # would keep one block for each shape of input
        options.enable_cpu_mem_arena = shared_arena  # for a whole image, the second one would double the peak memory
        try:
            if shared_arena:
                _register_pool()
                options.add_session_config_entry("session.use_env_allocators", "1")
            self._session = onnxruntime.InferenceSession(graph.data, options, providers=providers)
        except Exception as error:  # the library raises several unrelated types
            raise cannot_open("ONNX Runtime", graph.file, error) from None
        if providers[0] not in self._session.get_providers():  # the library falls back to the CPU and goes on
            raise EngineError(f"ONNX Runtime could not start {providers[0]}", fix=ACCELERATED_REMEDY)
        found = [i.name for i in self._session.get_inputs()], [o.name for o in self._session.get_outputs()]
        expected = list(graph.inputs), list(graph.outputs)
        if found != expected:
            raise EngineError(f"{graph.file} has tensors {found} instead of {expected}", fix="export it again")
        self._graph = graph

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Named arrays in, named arrays out."""
        try:
            found = self._session.run(list(self._graph.outputs), dict(inputs))
        except Exception as error:
            raise failed("ONNX Runtime", self._graph.file, error) from None
        return checked(self._graph, inputs, dict(zip(self._graph.outputs, found, strict=True)))


_pool_lock = Lock()
_pool_made = False


def _register_pool() -> None:
    """Make the arena that pooled sessions share; without it, each would keep one of its own."""
    global _pool_made
    with _pool_lock:
        if _pool_made:
            return
        _pool_made = True
        kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
        memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
        with suppress(Exception):  # another user of the library in this process has made one: that one is shared
            onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(0, 0, POOL, -1))


class OnnxEngine:
    """ONNX Runtime: on the CPU, or on another provider and, for what that cannot compute, those after it."""

    version = f"onnxruntime {onnxruntime.__version__}"
    channels_last = False

    def __init__(self, name: str, used: list[str]) -> None:
        self.name, self._used = name, used

    @property
    def provider(self) -> str:
        """What computes, as the library names it."""
        return self._used[0]

    @property
    def providers(self) -> list[str]:
        """What this build of the library could compute with."""
        return list(onnxruntime.get_available_providers())

    def check_precision(self, precision: str) -> None:
        """Every precision can be run."""

    def load(self, graph: Graph, threads: int, *, shared_arena: bool = False) -> OnnxGraph:
        """Load a graph file."""
        return OnnxGraph(graph, threads, self._used, shared_arena)


ENGINE = OnnxEngine("onnx", [CPU])


def accelerated(name: str, provider: str) -> OnnxEngine:
    """ONNX Runtime on a provider other than the CPU; an EngineError if this build of the library lacks it."""
    if provider not in ENGINE.providers:
        raise EngineError(
            f"The engine {name!r} needs {provider}, and this ONNX Runtime has {', '.join(ENGINE.providers)}",
            fix=ACCELERATED_REMEDY,
        )
    return OnnxEngine(name, [p for p in dict.fromkeys((provider, CUDA, CPU)) if p in ENGINE.providers])
