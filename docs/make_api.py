"""Write docs/api.md from the docstrings of what is public.

python docs/make_api.py
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# module -> what of it is told; of the first, all that it exports
PUBLIC = {
    "fusiongcn_edge.runtime": None,
    "fusiongcn_edge.runtime.io.images": [
        "read_image", "read_photograph", "Photograph", "write_image", "write_images", "Encoding",
    ],
    "fusiongcn_edge.runtime.registration.estimate": ["Alignment"],
    "fusiongcn_edge.runtime.types": ["Area"],
    "fusiongcn_edge.runtime.bundle.reader": ["load_bundle", "shipped_bundles", "Bundle"],
}  # fmt: skip
INTRODUCTION = """# API

Made from the docstrings by `python docs/make_api.py`; do not edit. Photographs are numpy arrays as OpenCV has them:
height × width (gray), × 3 (BGR) or × 4 (BGR and alpha), uint8 or uint16. What is wrong with photographs, files, models
or settings raises a `FusionError`, whose text is one sentence that says what to do.
"""
ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):`([^`]+)`")


def text() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name, chosen in PUBLIC.items():
        module = importlib.import_module(name)
        parts.append(f"## {name}\n")
        things = [getattr(module, title) for title in chosen or module.__all__]
        things.sort(key=lambda thing: inspect.isclass(thing) and issubclass(thing, Exception))  # errors at the end
        for thing in things:
            parts += _told(thing)
    return "\n".join(parts).rstrip() + "\n"


def _told(thing: Any) -> Iterator[str]:
    error = inspect.isclass(thing) and issubclass(thing, Exception)
    yield f"### {thing.__name__}\n"
    told_as_attributes = "\nAttributes\n" in (inspect.getdoc(thing) or "") and thing.__name__ != "Encoding"
    if not error and not told_as_attributes:
        yield f"```text\n{_signature(thing.__name__, thing)}\n```\n"
    elif error:
        yield f"*{thing.__bases__[0].__name__}.*\n"
    yield _markdown(thing)
    if not inspect.isclass(thing) or error:
        return
    for title, member in vars(thing).items():
        if title.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"#### {thing.__name__}.{title}\n"
            yield _markdown(member)
        elif inspect.isfunction(member) or isinstance(member, classmethod):
            yield f"#### {thing.__name__}.{title}\n"
            yield f"```text\n{_signature(title, getattr(thing, title))}\n```\n"
            yield _markdown(member)


def _signature(name: str, thing: Any) -> str:
    """As it is written in the source, on one line, or one line for each parameter where that is too long."""
    parameters, marked = [], False
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not marked:
            parameters.append("*")
            marked = True
        written, annotation = parameter.name, parameter.annotation
        if annotation is not parameter.empty:
            written += f": {getattr(annotation, '__forward_arg__', annotation)}"
        if parameter.default is not parameter.empty:
            written += f" = {parameter.default!r}"
        parameters.append(written)
    returned = inspect.signature(thing).return_annotation
    arrow = "" if inspect.isclass(thing) or returned is inspect.Signature.empty else f" -> {returned}"
    line = f"{name}({', '.join(parameters)}){arrow}"
    return line if len(line) <= 100 else f"{name}(\n    " + ",\n    ".join(parameters) + f",\n){arrow}"


def _markdown(thing: Any) -> str:
    """A docstring (numpydoc) with its sections as lists."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    told, section = [], ""
    for place, line in enumerate(lines):
        underlined = place + 1 < len(lines) and lines[place + 1] and not lines[place + 1].strip("-")
        if underlined:
            section = line
            told.append(f"**{line}**\n")
        elif line and not line.strip("-") and section:
            continue
        elif section and line and not line.startswith(" "):
            name, colon, kind = line.partition(" : ")
            told.append(f"- `{name}`: {kind}" if colon else f"- {line}")
        elif section and line:
            told.append(f"  {line.strip()}")
        else:
            told.append(line)
    joined = "\n".join(told).replace("``", "`")
    return ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2].lstrip('~')}`", joined) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("api.md").write_text(text(), "utf-8")
