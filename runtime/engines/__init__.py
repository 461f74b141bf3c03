"""Inference engines behind the protocol in ``base.py``, a module each, imported when first opened.
Graphs of fixed sizes are padded by ``size_variants.py``.
"""
