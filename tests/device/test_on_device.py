"""On the device as on x86: needs nothing but our wheel, pytest and the example photographs.

On a board: ``pytest --confcutdir tests/device tests/device``, with ``-k 'not onnx'`` where there is only LiteRT.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from device.reference_outputs import MODELS, PARTS, outputs, pair, preprocessing
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.engines.base import ENGINES, get_engine
from fusiongcn_edge.runtime.io.images import read_image, write_images

MOST_FLIPS, MOST_FLIPS_FP32 = 1e-3, 1e-4  # of the pixels, decided otherwise than on x86


@pytest.fixture(scope="module")
def x86() -> dict[str, NDArray[Any]]:
    with np.load(Path(__file__).with_name("x86.npz")) as stored:
        return dict(stored)


@pytest.mark.parametrize("network", PARTS)
def test_superpixels_and_node_features_are_those_of_x86(network: str, x86: dict[str, NDArray[Any]]) -> None:
    found = preprocessing(network)
    assert found["checksum"] == x86[f"{network}/checksum"], "the photographs are decoded otherwise"
    assert np.array_equal(found["labels"], x86[f"{network}/labels"])
    np.testing.assert_allclose(found["features"], x86[f"{network}/features"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("engine", ENGINES)
def test_decisions_are_those_of_x86(engine: str, model: str, x86: dict[str, NDArray[Any]]) -> None:
    if get_engine(engine).version.startswith("tflite-runtime") and model == "fusiongcn-int8":
        with pytest.raises(FusionError, match="install ai-edge-litert in its place"):
            outputs(model, engine)
        return
    found = outputs(model, engine)
    flips = np.unpackbits(found["decision"] ^ x86[f"{model}/{engine}/decision"]).sum() / found["probability"].size
    assert flips <= (MOST_FLIPS if model.endswith("int8") else MOST_FLIPS_FP32)
    if not model.endswith("int8"):
        difference = found["probability"].astype(int) - x86[f"{model}/{engine}/probability"]
        assert np.abs(difference).max() <= 1


def test_both_photographs_are_taken_somewhere(x86: dict[str, NDArray[Any]]) -> None:
    for name, decision in x86.items():
        if name.endswith("decision"):
            assert 0.4 < np.unpackbits(decision).mean() < 0.6, name


@pytest.mark.parametrize("engine", ENGINES)
def test_the_command_writes_what_python_gives(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = "fusiongcn-lite"
    first, second = pair(model)
    near, far, fused, decision = (str(tmp_path / f"{name}.png") for name in ("near", "far", "fused", "decision"))
    write_images({near: first, far: second})
    assert main(["fuse", near, far, "-o", fused, "--decision-map", decision, "--model", model, "--engine", engine]) == 0
    assert "128x128" in capsys.readouterr().out
    result = Fuser.open(model, engine=engine).fuse(first, second)
    assert np.array_equal(read_image(fused), result.image)
    assert np.array_equal(read_image(decision) > 0, result.decision)
