"""LiteRT: TFLite graphs on ai-edge-litert or, where that has no wheel (32-bit Pi OS), on its forerunner tflite-runtime.

Everything runs on the XNNPACK kernels. TFLite graphs want images channels last: arrays of four dimensions are handed
over as n x R x W x C, and come back as n x C x R x W views of that, so that nothing is moved in memory in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Graph
from fusiongcn_edge.runtime.engines.base import Arrays, cannot_open, checked, failed
from fusiongcn_edge.runtime.errors import EngineError

try:
    from ai_edge_litert.interpreter import Interpreter

    LIBRARY = "ai-edge-litert"
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("ai_edge_litert"):
        raise
    from tflite_runtime.interpreter import Interpreter

    LIBRARY = "tflite-runtime"

if LIBRARY == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
    raise EngineError(
        f"tflite-runtime {version(LIBRARY)} was built for numpy 1 and fails with numpy {np.__version__}",
        fix="pip install 'numpy<2' 'opencv-python-headless<4.12', or ai-edge-litert in its place",
    )


class LitertGraph:
    """A graph of a TFLite file, by the name of its signature."""

    def __init__(self, graph: Graph, file: _File) -> None:
        self._graph, self._file = graph, file
        with file.interpreter() as interpreter:
            found = interpreter.signatures.get(graph.entry or "")
            expected = {"inputs": sorted(graph.inputs), "outputs": sorted(graph.outputs)}
            if found is None or {side: sorted(names) for side, names in found.items()} != expected:
                raise EngineError(
                    f"{graph.file} has no graph {graph.entry!r} with the tensors {expected}, so it is the file of "
                    "another model",
                    fix="export it again",
                )
            try:
                runner: Any = interpreter.runner(graph.entry or "")
                details = runner.get_input_details(), runner.get_output_details()
            except (ValueError, RuntimeError) as error:  # a signature that names tensors which are not there
                raise cannot_open(LIBRARY, graph.file, error) from None
            self._check_shapes(*details)

    def _check_shapes(self, inputs: Any, outputs: Any) -> None:
        for tensors, details in ((self._graph.inputs, inputs), (self._graph.outputs, outputs)):
            for name, (dtype, shape) in tensors.items():
                own = tuple(int(side) for side in details[name]["shape"])
                if own != _channels_last(shape) or np.dtype(details[name]["dtype"]).name != dtype:
                    raise EngineError(
                        f"{self._graph.file} takes or gives {name} as {np.dtype(details[name]['dtype']).name} "
                        f"{own} instead of {dtype} {_channels_last(shape)}",
                        fix="export it again",
                    )

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Named arrays in, named arrays out."""
        for name, (_, shape) in self._graph.inputs.items():
            if name not in inputs or inputs[name].shape != shape:
                given = inputs[name].shape if name in inputs else "not there"
                raise EngineError(
                    f"{self._graph.file} takes {name} as {shape}, and it is {given}", fix="export it again"
                )
        feed = as_tflite(inputs)
        try:
            with self._file.interpreter() as interpreter:
                found = interpreter.runner(self._graph.entry or "")(**feed)
        except EngineError:  # another interpreter was needed, and could not be opened
            raise
        except Exception as error:  # the library raises several unrelated types
            raise failed(LIBRARY, self._graph.file, error) from None
        images_first = {name: a.transpose(0, 3, 1, 2) if a.ndim == 4 else a for name, a in found.items()}
        return checked(self._graph, inputs, images_first)


class _Interpreter:
    """One interpreter and the runners of its signatures."""

    def __init__(self, file: str, data: bytes, threads: int) -> None:
        try:
            self._interpreter = Interpreter(model_content=data, num_threads=threads)
            self.signatures: dict[str, Any] = self._interpreter.get_signature_list()
            self._interpreter.allocate_tensors()  # hands all graphs of the file over to XNNPACK
        except MemoryError:
            raise EngineError(
                f"Memory ran out when {LIBRARY} opened {file}", fix="close other programs, or export it again"
            ) from None
        except Exception as error:
            raise cannot_open(LIBRARY, file, error) from None
        self._runners: dict[str, Any] = {}

    def runner(self, signature: str) -> Callable[..., dict[str, NDArray[Any]]]:
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        runner: Callable[..., dict[str, NDArray[Any]]] = self._runners[signature]
        return runner


class _File:
    """A TFLite file, opened as often as its graphs run at the same time: an interpreter is no place for two threads."""

    def __init__(self, graph: Graph, threads: int) -> None:
        self.name, self.data, self._threads = graph.file, graph.data, threads
        self._idle: list[_Interpreter] = []
        self._lock = Lock()

    @contextmanager
    def interpreter(self) -> Iterator[_Interpreter]:
        with self._lock:
            interpreter = self._idle.pop() if self._idle else None
        interpreter = interpreter or _Interpreter(self.name, self.data, self._threads)
        try:
            yield interpreter
        finally:
            with self._lock:
                self._idle.append(interpreter)


def as_tflite(inputs: Arrays) -> dict[str, NDArray[Any]]:
    """The same arrays with images channels last, as a TFLite graph takes them."""
    return {
        name: np.ascontiguousarray(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array)
        for name, array in inputs.items()
    }


def _channels_last(shape: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape


class LitertEngine:
    """LiteRT on the CPU."""

    name = "litert"
    version = f"{LIBRARY} {version(LIBRARY)}"
    provider = "XNNPACK"
    channels_last = True

    def __init__(self) -> None:
        self._files: WeakValueDictionary[tuple[int, int], _File] = WeakValueDictionary()  # by address and threads

    @property
    def providers(self) -> list[str]:
        """What this engine can compute with."""
        return [self.provider]

    def check_precision(self, precision: str) -> None:
        """Weights of 8 bits beside float activations need kernels that tflite-runtime lacks."""
        if precision.startswith("dynamic") and LIBRARY == "tflite-runtime":
            raise EngineError(
                f"{self.version} gives wrong answers for models of precision {precision!r}",
                fix="install ai-edge-litert in its place, or use the model in fp32, fp16 or weight_only_wi8_afp32",
            )

    def load(self, graph: Graph, threads: int, *, shared_arena: bool = False) -> LitertGraph:
        """Load a graph; those of one file share what it takes."""
        key = (id(graph.data), threads)
        file = self._files.get(key)
        if file is None:
            self._files[key] = file = _File(graph, threads)
        return LitertGraph(graph, file)


ENGINE = LitertEngine()
