"""Run a CNN on tiles or windows within a memory budget.
The result is that of the whole image.
"""
