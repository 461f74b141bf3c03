"""Cores, memory and worker processes of this machine.
Nothing here knows of images.
"""
