"""MobileNetV1 (Howard et al., 2017) at 224x224 with random weights, as a TFLite file: its times are published."""

from __future__ import annotations

from pathlib import Path

# output channels and stride of each depthwise and pointwise pair
PAIRS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def write_mobilenet(file: Path) -> int:
    """Write the network; the bytes that it moves at least: weights, photograph and classes."""
    import litert_torch
    import torch
    from torch import nn

    def convolved(before: int, after: int, stride: int, groups: int = 1, kernel: int = 3) -> list[nn.Module]:
        convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups)
        return [convolution, nn.ReLU6()]

    layers, channels = convolved(3, 32, 2), 32
    for after, stride in PAIRS:
        layers += convolved(channels, channels, stride, groups=channels)
        layers += convolved(channels, after, 1, kernel=1)
        channels = after
    torch.manual_seed(0)
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1001)).eval()
    image = torch.randn(1, 3, 224, 224)
    litert_torch.convert(network, (image,)).export(str(file))
    return 4 * (sum(weights.numel() for weights in network.parameters()) + image.numel() + 1001)
