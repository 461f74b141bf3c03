"""Fusion metrics by kind, each with its source: ``information.py`` (Q_MI, Q_NCIE), ``gradient.py`` (Q_G),
``structural.py`` (Q_S, Q_W, Q_E, Q_C, Q_Y, SSIM), ``perceptual.py`` (Q_P, Q_CB, Q_CV). ``scorer.py`` computes all.
"""
