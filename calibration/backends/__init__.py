"""Quantization in each graph format: ONNX and TFLite.
A module each, with the same functions; ``layers.py`` chooses by the bundle.
"""
