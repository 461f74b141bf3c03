"""Fusion metrics: information, gradient, structure, perception; each with its source.
``scorer.py`` computes several on one fused image.
"""
