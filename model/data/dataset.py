"""What a network trains on: made scenes with the superpixels and graph that the runtime makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from fusiongcn_edge.model.checkpoint import superpixel_settings
from fusiongcn_edge.model.config import TrainConfig
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import Scene, blank_scene, make_scene, with_noise
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.runtime.errors import FusionError, user_message
from fusiongcn_edge.runtime.io.pixels import luminance
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input, superpixels
from fusiongcn_edge.runtime.networks.lite_inputs import grid_superpixels, preprocess, region_affinity, region_features
from fusiongcn_edge.runtime.networks.region_graph import node_features, region_graph
from fusiongcn_edge.runtime.segmentation.settings import GridSlicSettings, SlicSettings

Settings = SlicSettings | GridSlicSettings  # of superpixels


@dataclass(frozen=True)
class Sample:
    """A scene with its superpixels, as the network takes it."""

    photographs: Tensor  # 2, 3, H, W, RGB in [-1, 1]
    images: Tensor  # 2, C, H', W', what the network sees of them
    labels: Tensor  # superpixels, int64: H, W, or less where they are coarser
    graph: tuple[Tensor, ...]  # the graph network's inputs; the first is 2, N, features
    matte: Tensor  # H, W
    weight: Tensor  # H, W
    truth: Tensor  # 3, H, W, RGB in [-1, 1]


def to_sample(scene: Scene, settings: Settings) -> Sample:
    """Preprocess a scene with the runtime's own code."""
    photographs = network_input(scene.a, scene.b)
    graph: tuple[NDArray[np.float32], ...]
    if isinstance(settings, GridSlicSettings):
        seen = preprocess(scene.a, scene.b)
        images, labels = luminance(seen.gray)[:, None], grid_superpixels(seen, settings)
        graph = region_features(seen, labels), region_affinity(seen, labels)
    else:
        images, labels = photographs, superpixels(photographs, settings)
        graph = node_features(images, labels), *region_graph(labels)
    tensor = torch.from_numpy
    return Sample(
        photographs=tensor(photographs),
        images=tensor(images),
        labels=tensor(labels.astype(np.int64)),
        graph=tuple(tensor(array) for array in graph),
        matte=tensor(scene.matte),
        weight=tensor(scene.weight),
        truth=tensor(network_input(scene.truth, scene.truth)[0]),
    )


class Scenes(Dataset[Sample | FusionError]):
    """The scenes of one run from scene ``first`` on; instead of one that cannot be made, the error that says why.

    An error is handed over, not raised: from a worker process, torch would raise it with a traceback for its sentence.
    """

    def __init__(self, photographs: Photographs, config: TrainConfig, settings: Settings, first: int) -> None:
        self.photographs, self.config, self.settings, self.first = photographs, config, settings, first

    def __len__(self) -> int:
        return self.config.steps * self.config.batch - self.first

    def __getitem__(self, position: int) -> Sample | FusionError:
        try:
            return self._made(position)
        except Exception as error:
            sentence = user_message(error)
            if sentence is None:
                raise
            return FusionError(sentence)

    def _made(self, position: int) -> Sample:
        index, config = self.first + position, self.config
        rng = np.random.default_rng([config.seed, index, 1])
        cell = float(rng.uniform(*config.cell_sizes))
        make = blank_scene if rng.random() < config.blank else make_scene
        scene = make(self.photographs, config.crop, config.seed, index)
        if rng.random() < config.noise:
            scene = with_noise(scene, rng)
        return to_sample(scene, replace(self.settings, segments_per_side=config.crop / cell**2))


def settings_of(network: nn.Module, numbers: dict[str, Any]) -> Settings:
    """How a network's superpixels are made."""
    return superpixel_settings(network, numbers) if isinstance(network, FusionGCN) else GridSlicSettings(**numbers)
