"""The plan of the house: which folder is which package, and which room may lean on which."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import fusiongcn_edge.runtime
from fusiongcn_edge.cli import COMMANDS
from helpers.paths import ROOT

ROOMS = {
    "fusiongcn_edge": ROOT / "src" / "fusiongcn_edge",
    **{f"fusiongcn_edge.{room}": ROOT / room for room in ("runtime", "model", "export", "calibration", "benchmarks")},
}
# what a room may import from the package; in brackets, what it may only when a function that needs it is called
MAY_IMPORT = {
    "fusiongcn_edge": ({"guard"}, {"runtime", "model", "export", "calibration", "benchmarks"}),
    "fusiongcn_edge.runtime": (set(), set()),
    "fusiongcn_edge.model": ({"runtime"}, set()),
    "fusiongcn_edge.calibration": ({"runtime"}, set()),
    "fusiongcn_edge.export": ({"runtime", "model", "calibration"}, set()),
    "fusiongcn_edge.benchmarks": ({"runtime"}, {"model", "export", "calibration"}),
}
OPTIONAL = {  # libraries that one module each may import
    "fusiongcn_edge.runtime.capture.picamera": {"picamera2"},
    "fusiongcn_edge.runtime.io.heif_raw": {"pillow_heif", "rawpy"},
    "fusiongcn_edge.runtime.engines.onnxruntime_engine": {"onnxruntime"},
    "fusiongcn_edge.runtime.engines.litert_engine": {"ai_edge_litert", "tflite_runtime"},
}
LIBRARIES = {"numpy", "cv2", "onnx", "onnxruntime", "onnxscript", "torch", "skimage", "scipy", "PIL", "tflite", "thop"}


@dataclass(frozen=True)
class Import:
    """One imported module, where it is imported, and whether that happens with the importing module itself."""

    name: str
    room: str
    module: str
    at_once: bool
    relative: bool

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def imported_room(self) -> str | None:
        """``runtime`` for anything in fusiongcn_edge.runtime; None for other libraries and the package's version."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "fusiongcn_edge" and len(parts) > 1 and parts[1] != "__version__" else None


def python_files() -> Iterator[tuple[str, str, Path]]:
    """Room, module name and file of every module of the package."""
    for room, folder in ROOMS.items():
        for file in sorted(folder.rglob("*.py")) if (folder / "__init__.py").exists() else ():
            parts = [room, *file.relative_to(folder).with_suffix("").parts]
            yield room, ".".join(part for part in parts if part != "__init__"), file


def imports() -> list[Import]:
    found = []
    for room, module, file in python_files():
        tree = ast.parse(file.read_text("utf-8"))
        inner = {
            node
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names, level = [alias.name for alias in node.names], 0
            elif isinstance(node, ast.ImportFrom):
                names, level = [f"{node.module}.{alias.name}" for alias in node.names], node.level
            else:
                continue
            found += [Import(name, room, module, node not in inner, level > 0) for name in names]
    return found


IMPORTS = imports()


def test_the_imports_are_read_at_all() -> None:
    assert (
        Import("numpy", "fusiongcn_edge.runtime", "fusiongcn_edge.runtime.networks.region_graph", True, False)
        in IMPORTS
    )
    assert any(i.imported_room == "model" for i in IMPORTS if i.room == "fusiongcn_edge.export")
    assert any(i.name.startswith("skimage") and not i.at_once for i in IMPORTS)


def test_setup_names_every_package_and_its_folder() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    on_disk = {
        ".".join([room, *init.parent.relative_to(folder).parts]): init.parent.relative_to(ROOT)
        for room, folder in ROOMS.items()
        if (folder / "__init__.py").exists()
        for init in folder.rglob("__init__.py")
    }
    assert set(setup["options"]["packages"].split()) == set(on_disk)
    lines = setup["options"]["package_dir"].strip().splitlines()
    mapped = dict(tuple(part.strip() for part in line.split("=")) for line in lines)
    for package, folder in on_disk.items():
        above = next(name for name in (package, *reversed_parents(package)) if name in mapped)
        assert ROOT / mapped[above] / Path(*package.removeprefix(above).strip(".").split(".")) == ROOT / folder


def reversed_parents(package: str) -> list[str]:
    parts = package.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def test_every_folder_with_modules_is_a_package() -> None:
    for _, _, file in python_files():
        assert (file.parent / "__init__.py").exists(), file.parent


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_leans_only_on_the_floors_below_it(room: str) -> None:
    at_once, when_called = MAY_IMPORT[room]
    own = room.partition(".")[2]
    wrong = [
        i
        for i in IMPORTS
        if i.room == room
        and i.imported_room not in {None, own, *at_once, *(() if i.at_once else when_called)}
        and i.module != "fusiongcn_edge.__main__"
    ]
    assert wrong == []


def test_the_runtime_needs_numpy_and_opencv_alone_but_for_engines_and_optional_formats() -> None:
    wrong = [
        i
        for i in IMPORTS
        if i.room == "fusiongcn_edge.runtime"
        and i.top not in {"fusiongcn_edge", "numpy", "cv2", *OPTIONAL.get(i.module, ()), *sys.stdlib_module_names}
    ]
    assert wrong == []


def test_the_command_line_imports_the_standard_library_alone_at_its_start() -> None:
    wrong = [
        i
        for i in IMPORTS
        if i.room == "fusiongcn_edge" and i.at_once and i.top not in {"fusiongcn_edge", *sys.stdlib_module_names}
    ]
    assert wrong == []


def test_only_absolute_imports_of_installed_names_are_used() -> None:
    assert [i for i in IMPORTS if i.relative] == []
    own = {room.partition(".")[2] for room in ROOMS} - {""}
    assert [i for i in IMPORTS if i.top in own] == []


def test_no_module_has_the_name_of_a_library() -> None:
    taken = LIBRARIES | set(sys.stdlib_module_names)
    assert [module for _, module, _ in python_files() if module.rpartition(".")[2] in taken] == []


def test_nothing_lies_at_the_top_that_python_would_import() -> None:
    assert not (ROOT / "__init__.py").exists()


def runtime_modules() -> list[str]:
    walk = pkgutil.walk_packages(fusiongcn_edge.runtime.__path__, "fusiongcn_edge.runtime.")
    return ["fusiongcn_edge.runtime", *(module.name for module in walk)]


@pytest.mark.parametrize("name", runtime_modules())
def test_everything_public_in_the_runtime_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for title, thing in vars(module).items():
        if title.startswith("_") or getattr(thing, "__module__", None) != name or not callable(thing):
            continue
        assert inspect.getdoc(thing), title
        for method, function in vars(thing).items() if inspect.isclass(thing) else ():
            if inspect.isfunction(function) and not method.startswith("_"):
                assert function.__doc__, f"{title}.{method}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_where_the_command_line_looks_for_it(command: str) -> None:
    module = importlib.import_module(COMMANDS[command][0])
    assert callable(getattr(module, f"add_{command}_arguments"))
    assert callable(getattr(module, f"run_{command}"))


def told_modules() -> set[str]:
    """What the first block of CONTRIBUTING.md names, by path: rooms at the margin, folders and files in them."""
    found, room, folder = set[str](), "", ""
    for line in (ROOT / "CONTRIBUTING.md").read_text().split("```")[1].splitlines():
        first = line.strip().partition(" ")[0]
        if not line.startswith(" "):
            room = folder = first
        elif not line.startswith("   "):
            folder = room + (first if first.endswith("/") else "")
        found |= {folder + name for name in re.findall(r"(?<![\w/])\w+\.py\b", line)}
    return found


def test_every_module_has_its_line_for_those_who_look_for_it() -> None:
    rooms = ("src/fusiongcn_edge", "runtime", "model", "calibration", "export", "benchmarks", "benchmarks/arm")
    modules = [path for room in rooms for path in (ROOT / room).glob("*.py") if not path.stem.startswith("__")]
    # a measurement that is a command of its own says itself what it is for
    silent = [path for path in modules if f"python -m fusiongcn_edge.benchmarks.{path.stem} " not in path.read_text()]
    told = told_modules()
    assert [name for path in silent if (name := str(path.relative_to(ROOT))) not in told] == []
    rooms_told = {name for name in told if name.rpartition("/")[0] in rooms}
    assert [name for name in sorted(rooms_told) if not (ROOT / name).exists()] == []
