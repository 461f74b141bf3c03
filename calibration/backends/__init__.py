"""Quantization in each graph format: ONNX and TFLite."""
