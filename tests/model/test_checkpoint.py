from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusiongcn_edge.model.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    superpixel_settings,
)
from fusiongcn_edge.model.fusiongcn import FusionGCN
from helpers.common import RANDOM_SUPERPIXELS
from helpers.profiles import examples

FACTS = {"superpixels": RANDOM_SUPERPIXELS, "origin": {"weights": "random", "seed": 7}}


class Mischief:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def refusal(path: Path) -> str:
    """The sentence with which a checkpoint is refused."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    sentence = str(caught.value)
    assert sentence.count("\n") == 0
    assert sentence.endswith(".")
    assert str(path) in sentence
    return sentence


def test_the_authors_checkpoint_loads(official_checkpoint: Path) -> None:
    network, facts = load_checkpoint(official_checkpoint)
    stored = torch.load(official_checkpoint, map_location="cpu", weights_only=True)
    assert facts["superpixels"] == {"segments_per_side": 0.5, "compactness": 10.0, "sigma": 5.0, "iterations": 10}
    assert facts["origin"] == {"weights": official_checkpoint.name}
    assert not network.training
    assert set(stored) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, stored[name])


def test_what_is_saved_is_what_is_loaded(random_network: FusionGCN, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "own.ckpt", random_network, FACTS)
    network, facts = load_checkpoint(tmp_path / "own.ckpt")
    assert facts == FACTS
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, random_network.state_dict()[name])
    assert [path.name for path in tmp_path.iterdir()] == ["own.ckpt"]


def test_a_bare_state_dict_counts_as_published(random_network: FusionGCN, tmp_path: Path) -> None:
    torch.save(random_network.state_dict(), tmp_path / "bare.ckpt")
    network, facts = load_checkpoint(tmp_path / "bare.ckpt")
    assert facts["superpixels"]["compactness"] == 10
    assert torch.equal(network.mix.weight, random_network.mix.weight)


def test_the_superpixel_settings_hold_the_guide_filter(random_network: FusionGCN) -> None:
    settings = superpixel_settings(random_network, RANDOM_SUPERPIXELS)
    assert settings.guide_kernel.shape == (6, 7, 7)
    assert settings.guide_bias == random_network.mix.bias.item()
    assert settings.compactness == RANDOM_SUPERPIXELS["compactness"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "There is no checkpoint" in refusal(tmp_path / "none.ckpt")


@pytest.mark.parametrize("content", [b"", b"weights? what weights?\n", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_a_file_of_another_kind_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.ckpt").write_bytes(content)
    assert "is no checkpoint" in refusal(tmp_path / "other.ckpt")


@pytest.mark.parametrize("content", [b"trained well\n", b"some weights\n", b"best epoch: 7\n"])
def test_no_text_whatever_is_taken_for_a_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes.ckpt").write_bytes(content)
    assert "is no checkpoint" in refusal(tmp_path / "notes.ckpt")


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_no_bytes_whatever_are_taken_for_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bytes.ckpt").write_bytes(content)
    refusal(tmp_path / "bytes.ckpt")


@pytest.mark.parametrize(
    "superpixels",
    [
        None,
        {},
        5,
        {"compactness": 10},
        *({**RANDOM_SUPERPIXELS, **wrong} for wrong in ({"sigma": "wide"}, {"iterations": 1.5}, {"iterations": 1e30})),
        {**RANDOM_SUPERPIXELS, "segments_per_side": 1e300},
    ],
)
def test_a_checkpoint_of_ours_without_its_superpixel_settings_is_refused(
    superpixels: Any, random_network: FusionGCN, tmp_path: Path
) -> None:
    facts = {} if superpixels is None else {"superpixels": superpixels}
    save_checkpoint(tmp_path / "own.ckpt", random_network, facts)
    assert "superpixels" in refusal(tmp_path / "own.ckpt")


@pytest.mark.parametrize("origin", [3, {"weights": torch.zeros(2)}, {"weights": {1, 2}}, {(1, 2): "weights"}])
def test_an_origin_that_no_manifest_can_hold_is_refused(origin: Any, random_network: FusionGCN, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "own.ckpt", random_network, {**FACTS, "origin": origin})
    refusal(tmp_path / "own.ckpt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gcn_bn1.num_batches_tracked", 3),
        ("gcn_bn1.num_batches_tracked", "no"),
        ("mix.bias", torch.ones(1).to_sparse()),
        ("mix.bias", torch.ones(1, dtype=torch.complex64)),
    ],
)
def test_what_is_no_plain_tensor_is_refused(name: str, value: Any, random_network: FusionGCN, tmp_path: Path) -> None:
    torch.save({**random_network.state_dict(), name: value}, tmp_path / "odd.ckpt")
    assert name in refusal(tmp_path / "odd.ckpt")


def test_a_refusal_is_all_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps({"epoch": 7}, protocol=4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refusal(tmp_path / "pickle.ckpt")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_checkpoint_is_refused(share: float, random_checkpoint: Path, tmp_path: Path) -> None:
    content = random_checkpoint.read_bytes()
    (tmp_path / "half.ckpt").write_bytes(content[: int(share * len(content))])
    assert "is damaged" in refusal(tmp_path / "half.ckpt")


def test_weights_of_another_network_are_refused_with_what_does_not_fit(tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(3, 8, 3).state_dict(), tmp_path / "other.ckpt")
    sentence = refusal(tmp_path / "other.ckpt")
    assert "tensors missing (mix.weight, mix.bias …)" in sentence
    assert "2 unknown (weight, bias)" in sentence


def test_weights_of_another_shape_are_refused_with_both_shapes(random_network: FusionGCN, tmp_path: Path) -> None:
    state = {**random_network.state_dict(), "mix.weight": torch.zeros(1, 6, 5, 5)}
    torch.save(state, tmp_path / "other.ckpt")
    sentence = refusal(tmp_path / "other.ckpt")
    assert "1 of another shape (mix.weight is (1, 6, 5, 5) instead of (1, 6, 7, 7))" in sentence
    assert "missing" not in sentence


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, random_network: FusionGCN, tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in random_network.state_dict().items()}
    state["out.0.weight"][0, 3, 1, 1] = value
    torch.save(state, tmp_path / "nan.ckpt")
    assert "not finite" in refusal(tmp_path / "nan.ckpt")


@pytest.mark.parametrize("content", [[1, 2], 3, torch.zeros(3), None])
def test_a_file_without_a_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "list.ckpt")
    assert "state_dict()" in refusal(tmp_path / "list.ckpt")


def test_a_pickle_that_carries_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.ckpt"
    pickle.loads(pickle.dumps(Mischief(trace)))
    assert trace.exists()  # it does run where it is let
    trace.unlink()
    path.write_bytes(pickle.dumps(Mischief(trace)))
    assert "more than tensors" in refusal(path)
    torch.save({"state": Mischief(trace)}, path)
    assert "more than tensors" in refusal(path)
    assert not trace.exists()


def test_code_in_an_otherwise_good_checkpoint_is_not_run(random_checkpoint: Path, tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.ckpt"
    buffer = io.BytesIO()
    with zipfile.ZipFile(random_checkpoint) as good, zipfile.ZipFile(buffer, "w") as evil:
        for name in good.namelist():
            evil.writestr(name, pickle.dumps(Mischief(trace)) if name.endswith("data.pkl") else good.read(name))
    path.write_bytes(buffer.getvalue())
    refusal(path)
    assert not trace.exists()
