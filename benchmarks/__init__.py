"""Measure models: ``metrics/`` (fusion quality), ``evaluation/`` (methods on pairs), ``cost/`` (counted from graphs),
``latency/`` (time, memory, energy), ``report/`` (pages of them), ``cli/``; ``experiments/``, ``arm/`` for maintainers.
"""
