"""Measurements for maintainers: ``python -m fusiongcn_edge.benchmarks.experiments.NAME --help``.
Not part of the wheel; nothing else imports them.
"""
