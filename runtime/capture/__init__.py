"""Frames from a camera: a Raspberry Pi's, through picamera2.
The command is ``runtime/cli/capture.py``.
"""
