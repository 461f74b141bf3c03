"""Lite's variants: each leaves out what its name says, and is trained and scored like the others."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch

from fusiongcn_edge.benchmarks.experiments import ablation, lite_variants
from fusiongcn_edge.model import training
from fusiongcn_edge.model.checkpoint import CheckpointError, load_network
from fusiongcn_edge.model.fusiongcn_lite import EIGHTH, HOPS, MESSAGE, NODES, QUARTER, FusionGCNLite
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.networks.lite_inputs import NODE_FEATURES, grid_superpixels, preprocess
from fusiongcn_edge.runtime.segmentation.settings import GridSlicSettings
from helpers.paths import EXAMPLE


def test_without_the_graph_its_table_changes_nothing():
    pixels, labels = torch.rand(2, 1, 32, 32), torch.zeros(1, 8, 8, dtype=torch.int64)
    for network, same in ((lite_variants.WithoutGraph(), True), (FusionGCNLite(), False)):
        network.eval()
        answers = [network.classify(pixels, labels, torch.rand(2, 1, 24)) for _ in range(2)]
        assert torch.equal(*answers) == same


def test_the_command_knows_every_variant():
    assert set(ablation.NAMES) == set(lite_variants.VARIANTS)


def test_the_variant_without_a_graph_costs_as_much():
    sizes = {name: lite_variants.parameters_of(make()) for name, (make, _) in lite_variants.VARIANTS.items()}
    assert sizes["lite"] == sizes["grid"] == 15_080
    nodes, pixels = 289, 65 * 65  # of a pair of 520x520
    message = NODES * MESSAGE + (NODES + MESSAGE) * NODES + nodes * MESSAGE
    graph = 2 * nodes * (2 * NODE_FEATURES * NODES + HOPS * message + NODES * QUARTER)
    block = 2 * pixels * (9 * EIGHTH + EIGHTH * EIGHTH)
    assert block == pytest.approx(graph, rel=0.01)


def test_the_grids_superpixels_follow_no_edge():
    rng = np.random.default_rng(0)
    photographs = [np.repeat(np.repeat(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), 32, 0), 32, 1) for _ in "ab"]
    recipe = lite_variants.VARIANTS["grid"][1]
    labels = grid_superpixels(preprocess(*photographs), GridSlicSettings(**recipe.superpixels()))
    for label in range(labels.max() + 1):
        rows, columns = np.nonzero(labels == label)
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


@pytest.mark.slow
def test_variants_are_trained_scored_and_taken_up_again(tmp_path, monkeypatch, capsys):
    photographs = tmp_path / "photos"
    photographs.mkdir()
    for name in ("near", "far"):
        (photographs / f"{name}.jpg").write_bytes((EXAMPLE / f"{name}.jpg").read_bytes())
    truth = tmp_path / "pairs" / "set"
    for name, place in (("near", "a"), ("far", "b"), ("near", "truth")):
        (truth / place).mkdir(parents=True)
        write_image(truth / place / "1.png", read_image(EXAMPLE / f"{name}.jpg")[:64, :64])
    given = ["--photos", str(photographs), "--held-out", str(photographs), "-o", str(tmp_path / "runs")]
    given += ["--truth", str(truth.parent)]
    monkeypatch.setattr(sys, "argv", ["ablation", *given, "--steps", "1", "--seed", "3", "--variant", "no-graph,grid"])
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(lite_variants, "HELD_OUT_SCENES", 1)
    assert ablation.main() == 0
    told = capsys.readouterr().out
    assert re.findall(r"^(\S+) +3 +1 +\S+ +\d+\.\d\d +\d+\.\d\d$", told, re.MULTILINE) == ["no-graph", "grid"]
    assert isinstance(load_network(tmp_path / "runs" / "grid-3" / training.WEIGHTS)[0], FusionGCNLite)
    with pytest.raises(CheckpointError) as refused:
        load_network(tmp_path / "runs" / "no-graph-3" / training.WEIGHTS)
    assert refused.value.found == "'WithoutGraph'"
    assert ablation.main() == 0
    assert capsys.readouterr().out == told
