"""The training loss: of the focus probability against the matte, and of the fused image against the truth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fusiongcn_edge.model.config import TrainConfig
from fusiongcn_edge.model.data.dataset import Sample

FINEST_ERROR = (2 / 255 / 2) ** 2  # half a gray level of [-1, 1], squared: what is below says nothing


def loss_of(probability: Tensor, samples: Sequence[Sample], config: TrainConfig) -> Tensor:
    """Compute the loss of a batch: cross-entropy against the matte, and the fused image's error against the truth.

    ``probability`` is P x H x W in [0, 1], one for each sample. The error is half the logarithm of each softly fused
    image's mean square error: its PSNR, up to scale and sign, so that scenes that are almost right still count. With
    ``config.published_loss`` the weighted L1 distance to the matte is all of the loss.
    """
    device = probability.device
    matte, weight, truth = (
        torch.stack([getattr(s, name) for s in samples]).to(device) for name in ("matte", "weight", "truth")
    )
    if config.published_loss:
        return (weight * (probability - matte).abs()).mean()
    a, b = (torch.stack([s.photographs[i] for s in samples]).to(device) for i in (0, 1))
    p = probability.clamp(1e-4, 1 - 1e-4)
    entropy = -(matte * p.log() + (1 - matte) * (1 - p).log())
    fused = p.unsqueeze(1) * a + (1 - p.unsqueeze(1)) * b
    error = (fused - truth).square().mean(dim=(1, 2, 3))
    return (weight * entropy).mean() + config.fused_weight * (error + FINEST_ERROR).log().mean() / 2
