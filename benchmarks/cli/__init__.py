"""One module for each of the commands ``metrics``, ``evaluate``, ``cost``, ``benchmark`` and ``report``.
Arguments in, libraries called, text out.
"""
