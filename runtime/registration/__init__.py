"""Registration of frames: estimate a transform and accept or refuse it (``estimate.py``), warp, match exposure, order
by focus, warn about unsuitable input (``checks.py``). ``frames.py`` registers the frames of a stack.
"""
