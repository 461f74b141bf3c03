"""Latency, memory and energy of a model on this device, each configuration in a process of its own.
The command is ``fusiongcn benchmark``.
"""
