"""HTML and SVG put together so that text is always escaped."""

from __future__ import annotations

from html import escape

WITHOUT_END = ("img", "meta")


class Markup(str):
    """Text that is HTML already."""


def tag(name: str, /, *content: str, **attributes: object) -> Markup:
    """An element. Content that is no :class:`Markup` is escaped, and so are the attributes; ``class_`` means ``class``,
    ``stroke_width`` means ``stroke-width``."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items())
    end = "" if name in WITHOUT_END else f"</{name}>"
    return Markup(f"<{name}{given}>{joined(*content)}{end}")


def joined(*content: str) -> Markup:
    """One after the other."""
    return Markup("".join(each if isinstance(each, Markup) else escape(each) for each in content))
