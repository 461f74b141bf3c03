"""Parameters, multiply-accumulates and bytes of a model, counted from its graphs.
What counts is said in ``conventions.py``.
"""
