"""Inference engines: one module each, imported when it is first opened."""
