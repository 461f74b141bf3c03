"""Run a network in torch on samples, and score it on scenes that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fusiongcn_edge.model.data.dataset import Sample
from fusiongcn_edge.model.data.synthetic_scenes import Scene
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite
from fusiongcn_edge.model.run_log import SCORES
from fusiongcn_edge.runtime.fusion.blending import blend, select
from fusiongcn_edge.runtime.fusion.decision_map import SMALLEST_REGION, THRESHOLD, decision_map
from fusiongcn_edge.runtime.io.pixels import psnr


def classify(network: nn.Module, samples: Sequence[Sample], bf16: bool) -> Tensor:
    """Compute the focus probability of each sample, P x H x W float32; all samples have one size."""
    device = next(network.parameters()).device
    embedded = [network.embed(*(part.to(device) for part in s.graph)) for s in samples]  # type: ignore[operator]
    tables = [torch.cat(parts, dim=1) for parts in zip(*embedded, strict=True)]
    first = np.cumsum([0] + [s.graph[0].shape[1] for s in samples[:-1]])
    labels = torch.stack([s.labels + int(f) for s, f in zip(samples, first, strict=True)]).to(device)
    images = torch.cat([torch.stack([s.images[i] for s in samples]) for i in (0, 1)]).to(device)
    height, width = samples[0].matte.shape
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        probability: Tensor = network.classify(images, labels, *tables)  # type: ignore[operator]
    return probability.float()[:, 0, :height, :width]


def score(network: nn.Module, scenes: Sequence[tuple[Scene, Sample]]) -> dict[str, float]:
    """Average over scenes the fused image's PSNR (dB), soft and hard, and the share of decisions that are right."""
    soft: list[float] = []
    hard: list[float] = []
    agreement: list[float] = []
    for scene, sample in scenes:
        with torch.no_grad():
            p = classify(network, [sample], bf16=False)[0].cpu().numpy()
        decided = scene.weight > 0.5
        agreement.append(float(np.mean((p > THRESHOLD)[decided] == (scene.matte > 0.5)[decided])))
        decision = decision_map(p, THRESHOLD, SMALLEST_REGION, simultaneous=isinstance(network, FusionGCNLite))
        soft.append(psnr(blend(scene.a, scene.b, p, decision, THRESHOLD), scene.truth))
        hard.append(psnr(select(scene.a, scene.b, decision), scene.truth))
    return dict(zip(SCORES, (float(np.mean(values)) for values in (soft, hard, agreement)), strict=True))
