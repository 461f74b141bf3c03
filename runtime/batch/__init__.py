"""Folders of stacks and pairs: what there is to fuse, and which results are current.
The command is ``runtime/cli/batch.py``.
"""
