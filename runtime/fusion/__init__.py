"""From the focus probability to the fused image: decision map, blending, stacks, depth map, preview.
No network is known here.
"""
