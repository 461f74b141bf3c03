"""Run a CNN on tiles or windows within a memory budget.
``staged_cnn.py``: the published CNN, exact; ``windowed_cnn.py``: Lite's, exact; ``overlapping_cnn.py``: one graph of a
fixed size, approximate. Tile sizes: ``memory_plan.py`` and ``windowed_cnn.py``.
"""
