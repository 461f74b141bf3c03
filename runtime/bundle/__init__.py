"""The model package: its manifest, reading, checking and writing it; the format is described in FORMAT.md.
The models that ship lie in ``runtime/bundles/ENGINE/NAME``.
"""
