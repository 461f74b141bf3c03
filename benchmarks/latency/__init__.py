"""Latency, memory and energy of a model on this device: ``runner.py`` starts a ``worker.py`` for each configuration.
The command is ``fusiongcn benchmark``.
"""
