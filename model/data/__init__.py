"""Training data: photographs, synthetic multi-focus scenes with their truth, and the dataset made of them.
Only the dataset needs torch.
"""
