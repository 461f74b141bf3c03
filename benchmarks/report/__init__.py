"""From measurements in JSON to a page (``html.py``, ``svg.py``, ``style.css``) and Markdown tables.
``schema.py`` checks what is read.
"""
