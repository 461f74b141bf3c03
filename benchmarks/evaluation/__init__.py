"""Models and baselines side by side on pairs: scores, a paired test, figures.
The command is ``fusiongcn evaluate``.
"""
