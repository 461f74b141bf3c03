"""Models and baselines side by side on pairs: ``runner.py`` scores, ``wilcoxon.py`` tests, ``figures.py`` draws,
``summary.py`` makes tables and JSON. The command is ``fusiongcn evaluate``.
"""
