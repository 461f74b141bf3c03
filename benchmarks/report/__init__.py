"""From measurements in JSON to a page, tables and figures.
``schema.py`` checks what is read.
"""
