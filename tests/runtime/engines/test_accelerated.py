"""Engines on a GPU: chosen by name, never by themselves, and never the CPU in their place without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.engines.base import ACCELERATED, get_engine
from fusiongcn_edge.runtime.engines.onnxruntime_engine import CPU, CUDA
from helpers.paths import EXAMPLE

TENSORRT = "TensorrtExecutionProvider"
LITE = "fusiongcn-lite"


@pytest.fixture
def jetson(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """ONNX Runtime as built for a Jetson; what sessions were asked to use is noted, and the CPU computes."""
    asked = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, data: bytes, options: Any, providers: list[str]) -> None:
            asked.append(providers)
            super().__init__(data, options, providers=[CPU])

        def get_providers(self) -> list[str]:
            return asked[-1]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return asked


@pytest.mark.parametrize(
    ("engine", "expected"),
    [("onnx-cuda", [CUDA, CPU]), ("onnx-tensorrt", [TENSORRT, CUDA, CPU]), ("onnx", [CPU]), (None, [CPU])],
)
def test_every_graph_is_opened_on_the_provider_that_was_named(
    engine: str | None, expected: list[str], jetson: list[list[str]], photographs: tuple[NDArray[np.uint8], ...]
) -> None:
    fuser = Fuser.open(LITE, engine=engine)
    fuser.fuse(*photographs)
    assert jetson
    assert all(providers == expected for providers in jetson)
    assert (fuser.engine.name, fuser.engine.provider) == (engine or "onnx", expected[0])


def test_without_cuda_tensorrt_leaves_the_rest_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CPU])
    assert get_engine("onnx-tensorrt")._used == [TENSORRT, CPU]  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", ACCELERATED)
def test_a_library_without_the_provider_is_refused_in_a_sentence_that_names_what_it_has(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    example = EXAMPLE
    output = tmp_path / "fused.png"
    code = main(["fuse", *(str(example / f"{n}.jpg") for n in ("near", "far")), "-o", str(output), "--engine", engine])
    said = capsys.readouterr().err
    assert code == 2
    assert f"needs {ACCELERATED[engine][1]}, and this ONNX Runtime has {CPU}: install a build" in said
    assert not output.exists()


@pytest.mark.parametrize("engine", ACCELERATED)
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_not_replaced_by_the_cpu(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])  # says it, has it not
    with pytest.raises(FusionError, match=f"could not start {ACCELERATED[engine][1]}"):
        Fuser.open(LITE, engine=engine)


def test_an_engine_that_there_is_not_is_told_with_those_that_there_are() -> None:
    for model in (LITE, Fuser.open(LITE).bundle.path):
        with pytest.raises(FusionError, match="no engine 'tflite': choose one of onnx, litert"):
            Fuser.open(model, engine="tflite")


def test_a_bundle_for_litert_is_not_opened_on_a_gpu() -> None:
    path = Path(Fuser.open(LITE, engine="litert").bundle.path)
    with pytest.raises(FusionError, match="is made for the engine 'litert', not 'onnx-cuda'"):
        Fuser.open(path, engine="onnx-cuda")
