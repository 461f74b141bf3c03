"""Quantization: what a model costs with smaller numbers, measured, and a bundle of it if that is little enough."""
