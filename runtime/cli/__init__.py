"""One module for each command: arguments in, ``pipeline`` called, text out.
Only commands print, or change the state of their process.
"""
