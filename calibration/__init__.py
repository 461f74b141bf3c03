"""Quantize models: ``recipes.py`` names the ways, ``quantize.py`` is the pipeline, ``search.py`` applies the flip-rate
budget.
"""
