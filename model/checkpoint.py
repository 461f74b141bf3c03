"""Reading and writing weights, without running anything a file says."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fusiongcn_edge.model.config import PUBLISHED_SUPERPIXELS
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite
from fusiongcn_edge.runtime.bundle.manifest import BLENDS, LITE, PUBLISHED
from fusiongcn_edge.runtime.bundle.validation import MOST_ITERATIONS, MOST_SEGMENTS, MOST_SIGMA
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.files import write_files
from fusiongcn_edge.runtime.segmentation.settings import GridSlicSettings, SlicSettings

NETWORKS: dict[str, type[nn.Module]] = {PUBLISHED: FusionGCN, LITE: FusionGCNLite}
SUPERPIXEL_NUMBERS = {
    PUBLISHED: set(PUBLISHED_SUPERPIXELS),
    LITE: {field.name for field in dataclasses.fields(GridSlicSettings)},
}
MOST = {"segments_per_side": MOST_SEGMENTS, "iterations": MOST_ITERATIONS, "sigma": MOST_SIGMA}  # as in a bundle


class CheckpointError(FusionError):
    """A checkpoint that cannot be read or is of another network."""


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[FusionGCN, dict[str, Any]]:
    """Read a FusionGCN: the authors' file (a bare state dict) or one of our own (:func:`load_network`: any network).

    Returns
    -------
    network : FusionGCN
        In evaluation mode, on the CPU.
    facts : dict
        ``superpixels`` (settings the weights were trained with), ``origin`` and, optionally, ``blend`` (how the
        decision is used: ``hard`` or ``soft``); the published ones for a bare file.

    Raises
    ------
    CheckpointError
        If the file is missing, no checkpoint, holds anything but tensors and plain values, or does not fit.
    """
    network, facts = load_network(path)
    if not isinstance(network, FusionGCN):
        raise CheckpointError(
            f"{path} holds another network",
            found=repr(facts["network"]),
            allowed=repr(PUBLISHED),
            fix="give another checkpoint",
        )
    return network, facts


def load_network(path: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """Read a checkpoint of any of ``NETWORKS``; ``facts`` of one of our own says in ``network`` which.

    Raises
    ------
    CheckpointError
        As :func:`load_checkpoint`, and if the network is unknown.
    """
    content = _read(Path(path))
    if isinstance(content.get("state"), dict):
        state, facts = content["state"], {k: v for k, v in content.items() if k != "state"}
        _check_facts(Path(path), facts)
    else:
        state, facts = content, {"superpixels": PUBLISHED_SUPERPIXELS, "origin": {"weights": Path(path).name}}
    network = NETWORKS[facts.get("network", PUBLISHED)]()
    _check_fit(Path(path), state, network)
    network.load_state_dict(state)
    return network.eval(), facts


def save_checkpoint(path: str | os.PathLike[str], network: nn.Module, facts: dict[str, Any]) -> None:
    """Write weights with their ``superpixels`` settings and ``origin``; whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"state": network.state_dict(), **facts}, buffer)
    write_files({path: buffer.getvalue()})


def superpixel_settings(network: FusionGCN, superpixels: dict[str, Any]) -> SlicSettings:
    """The settings the runtime needs: the numbers of a checkpoint and the guide filter of its network."""
    kernel = network.mix.weight.detach().cpu().numpy()[0]
    bias = network.mix.bias
    return SlicSettings(guide_kernel=kernel, guide_bias=0.0 if bias is None else bias.item(), **superpixels)


def _read(path: Path) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise CheckpointError(f"There is no checkpoint {path}", fix="check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol: what matters is whether it can be read
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a file of another kind is read as a pickle's instructions, and any of them may fail in its way
        raise CheckpointError(
            f"{path} is no checkpoint, is damaged, or holds more than tensors",
            fix="save the network's state_dict() alone",
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} holds no weights by name",
            found=type(content).__name__,
            allowed="dict",
            fix="save the network's state_dict()",
        )
    return content


def _check_facts(path: Path, facts: dict[str, Any]) -> None:
    network, found = facts.get("network", PUBLISHED), facts.get("superpixels")
    if not isinstance(network, str) or network not in NETWORKS:
        raise CheckpointError(
            f"{path} holds a network that this version does not know",
            found=repr(network),
            allowed=f"one of {', '.join(NETWORKS)}",
        )
    if (
        not isinstance(found, dict)
        or set(found) != SUPERPIXEL_NUMBERS[network]
        or not all(isinstance(value, int | float) and math.isfinite(value) for value in found.values())
        or not all(found[name] > 0 for name in ("segments_per_side", "compactness"))
        or found.get("sigma", 0) < 0
        or found["iterations"] < 1
        or found["iterations"] != int(found["iterations"])
        or any(found.get(name, 0) > most for name, most in MOST.items())
    ):
        raise CheckpointError(
            f"{path} does not say how its superpixels are made",
            fix=f"save 'superpixels' with a number for each of {', '.join(sorted(SUPERPIXEL_NUMBERS[network]))}",
        )
    if facts.get("blend", "hard") not in BLENDS:
        raise CheckpointError(
            f"{path} has a 'blend' that is unknown",
            found=repr(facts["blend"])[:40],
            allowed=f"one of {', '.join(BLENDS)}",
        )
    origin = facts.get("origin", {})
    try:
        json.dumps(origin, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        origin = None
    if not isinstance(origin, dict):
        raise CheckpointError(f"{path} has an 'origin' that is no dict of texts and numbers", fix="save one")


def _check_fit(path: Path, state: dict[str, Any], network: nn.Module) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = [name for name in expected if name not in state]
    foreign = [name for name in state if name not in expected]
    dense = {
        name: isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided and not tensor.is_complex()
        for name, tensor in state.items()
    }
    odd = [name for name in expected if name in state and not dense[name]]
    misshapen = [
        f"{name} is {tuple(state[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in state and dense[name] and tuple(state[name].shape) != shape
    ]
    problems = [
        f"{len(names)} {what} ({', '.join(map(str, names[:2]))}{' …' if len(names) > 2 else ''})"
        for what, names in (
            ("tensors missing", missing),
            ("unknown", foreign),
            ("that are no plain tensors", odd),
            ("of another shape", misshapen),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{path} is not a {type(network).__name__} checkpoint",
            found="; ".join(problems),
            fix="give another checkpoint",
        )
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise CheckpointError(f"{path} holds weights that are not finite", fix="give an earlier checkpoint")
