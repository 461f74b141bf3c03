"""Multiply-accumulates of the published network, counted by hand."""

from __future__ import annotations

# multiply-accumulates per pixel: input channels per group * kernel area * output channels
STEM = 3 * (5 * 5 + 7 * 7 + 9 * 9) * 6
ENCODER = 18 * 25 * 36 + 1 * 25 * 72 + 4 * 1 * 18 + 18 * 9 * 36
FEATURE_MIX = 72 * 9 * 48
CNN_DECODER = 48 * 9 * 96 + 1 * 25 * 192 + 4 * 1 * 48 + 48 * 9 * 24
GRAPH_DECODER = 1 * 9 * 144 + 1 * 25 * 288 + 12 * 9 * 24
OUT = 24 * 9
PER_PIXEL = 2 * STEM + 2 * ENCODER + 2 * FEATURE_MIX + CNN_DECODER + GRAPH_DECODER + OUT
SQUEEZE_EXCITATION = 288 * 4 + 4 * 288
# the graph network, for each of the two photographs: linear layers per node, neighbourhood sums per pair of nodes
PER_NODE = 2 * (3 * 18 + 18 * 3 * 36 + 3 * 36 * 36)
PER_NODE_SQUARED = 2 * (18 + 3 * 36 + 36)
