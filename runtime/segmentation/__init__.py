"""Superpixels: SLIC as scikit-image computes it, a faster SLIC on a grid, connected components.
The settings are those that a bundle carries.
"""
