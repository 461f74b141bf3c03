"""Registration of frames: estimate a transform, warp, match exposure, order by focus, check the input.
``frames.py`` aligns the frames of a stack with them.
"""
