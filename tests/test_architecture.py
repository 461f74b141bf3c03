"""Which package may import which, and what every package and module is held to; read from the sources."""

from __future__ import annotations

import ast
import configparser
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.paths import ROOT

FOLDERS = {
    "fusiongcn_edge": ROOT / "src" / "fusiongcn_edge",
    **{f"fusiongcn_edge.{name}": ROOT / name for name in ("runtime", "model", "export", "calibration", "benchmarks")},
}
TOP_LEVEL = {"runtime", "model", "export", "calibration", "benchmarks"}

# what a top-level package may import; and what it may inside functions only, so that it works without
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "runtime": (set(), set()),
    "model": ({"runtime"}, set()),
    "calibration": ({"runtime"}, set()),
    "export": ({"runtime", "model", "calibration"}, set()),
    "benchmarks": ({"runtime"}, {"model", "export", "calibration"}),
}
# each may import those of earlier lines, not those beside it
RUNTIME_ORDER = [
    ["types", "text"], ["errors"], ["system"], ["io"], ["segmentation"], ["bundle"], ["registration"], ["engines"],
    ["tiling"], ["networks"], ["fusion"], ["fuser"], ["pipeline"], ["batch", "capture"], ["cli"],
]  # fmt: skip
BENCHMARKS_ORDER = [
    ["script"],
    ["metrics"],
    ["cost"],
    ["latency"],
    ["evaluation"],
    ["report"],
    ["cli"],
    ["experiments"],
    ["arm"],
]
MAINTAINERS = ("fusiongcn_edge.benchmarks.experiments.", "fusiongcn_edge.benchmarks.arm.")  # scripts, in no wheel

# libraries that these modules alone may import
OPTIONAL = {
    "fusiongcn_edge.runtime.capture.picamera": {"picamera2"},
    "fusiongcn_edge.runtime.io.heif_raw": {"pillow_heif", "rawpy"},
    "fusiongcn_edge.runtime.engines.onnxruntime_engine": {"onnxruntime"},
    "fusiongcn_edge.runtime.engines.litert_engine": {"ai_edge_litert", "tflite_runtime"},
}
MOST_LINES = 400
NAMES_THAT_SAY_NOTHING = {"utils", "util", "core", "common", "helpers", "misc"}


@dataclass(frozen=True)
class Module:
    """A module of the product: its dotted name and its file."""

    name: str
    file: Path

    @property
    def package(self) -> str:
        """``runtime`` for all of ``fusiongcn_edge.runtime``; nothing for the package at the root."""
        return _part(self.name, 1) if _part(self.name, 1) in TOP_LEVEL else ""

    @property
    def part(self) -> str:
        """The package or module below ``runtime`` or ``benchmarks`` that it is, or is in."""
        return _part(self.name, 2)

    @property
    def is_script(self) -> bool:
        """Whether only maintainers run it, as ``python -m``."""
        return self.name.startswith(MAINTAINERS)


@dataclass(frozen=True)
class Import:
    """A name that a module imports; ``at_once`` if that happens when the module itself is imported."""

    module: Module
    name: str
    at_once: bool

    def __str__(self) -> str:
        return f"{self.module.name} imports {self.name}"

    @property
    def library(self) -> str:
        """What is installed for it; nothing if the import is relative."""
        return _part(self.name, 0)

    @property
    def package(self) -> str:
        """As of :class:`Module`; nothing for libraries."""
        return _part(self.name, 1) if self.library == "fusiongcn_edge" else ""

    @property
    def part(self) -> str:
        return _part(self.name, 2)


def _part(name: str, place: int) -> str:
    parts = name.split(".")
    return parts[place] if len(parts) > place else ""


def modules() -> Iterator[Module]:
    for package, folder in FOLDERS.items():
        for file in sorted(folder.rglob("*.py")):
            parts = [package, *file.relative_to(folder).with_suffix("").parts]
            yield Module(".".join(part for part in parts if part != "__init__"), file)


def imports(module: Module) -> Iterator[Import]:
    tree = ast.parse(module.file.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = {node for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node not in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = "." * node.level + (node.module or "")
            yield from (Import(module, f"{above}.{alias.name}", node not in inner) for alias in node.names)


MODULES = list(modules())
IMPORTS = [found for module in MODULES for found in imports(module)]


def assert_none(breaks: Callable[[Import], bool]) -> None:
    """No import may break a rule; those that do are listed."""
    wrong = [str(found) for found in IMPORTS if breaks(found)]
    assert wrong == [], "\n".join(wrong)


def test_imports_are_read() -> None:
    fuser = [i for i in IMPORTS if i.module.name == "fusiongcn_edge.runtime.fuser"]
    assert any(i.library == "numpy" and i.at_once for i in fuser)
    assert any(i.package == "runtime" and i.part == "fusion" for i in fuser)
    assert any(i.library == "torch" and not i.at_once for i in IMPORTS)


# packages


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_top_level_package_imports_only_what_it_may(package: str) -> None:
    always, when_called = MAY_IMPORT[package]

    def breaks(found: Import) -> bool:
        other = found.package in TOP_LEVEL - {package, *always}
        late = found.package in when_called and (found.module.is_script or not found.at_once)
        return found.module.package == package and other and not late

    assert_none(breaks)


@pytest.mark.parametrize(("package", "order"), [("runtime", RUNTIME_ORDER), ("benchmarks", BENCHMARKS_ORDER)])
def test_a_part_of_a_package_imports_only_earlier_parts(package: str, order: Sequence[Sequence[str]]) -> None:
    rank = {part: place for place, parts in enumerate(order) for part in parts}
    here = {module.part for module in MODULES if module.package == package and module.part}
    assert here == set(rank), "a part has no place in the order, or is no more"

    def breaks(found: Import) -> bool:
        own = found.module.part
        inside = found.module.package == found.package == package and own not in ("", found.part)
        return inside and rank.get(found.part, len(order)) >= rank[own]

    assert_none(breaks)


def test_nothing_imports_what_only_maintainers_run() -> None:
    assert_none(lambda i: f"{i.name}.".startswith(MAINTAINERS) and not i.module.is_script)


def test_command_lines_are_imported_by_command_lines_alone() -> None:
    def breaks(found: Import) -> bool:
        a_command_line = "cli" in found.module.name.split(".") or found.module.is_script
        return found.package in TOP_LEVEL and "cli" in found.name.split(".") and not a_command_line

    assert_none(breaks)


def test_the_runtime_needs_numpy_and_opencv_alone() -> None:
    usual = {"fusiongcn_edge", "numpy", "cv2", *sys.stdlib_module_names}

    def breaks(found: Import) -> bool:
        return found.module.package == "runtime" and found.library not in usual | OPTIONAL.get(found.module.name, set())

    assert_none(breaks)


def test_a_bundle_is_read_without_opencv() -> None:
    assert_none(lambda i: i.module.package == "runtime" and i.module.part == "bundle" and i.library == "cv2")


def test_the_command_line_starts_with_the_standard_library_alone() -> None:
    usual = {"fusiongcn_edge", *sys.stdlib_module_names}
    assert_none(lambda i: not i.module.package and i.at_once and (i.package in TOP_LEVEL or i.library not in usual))


def test_imports_are_absolute_and_name_the_installed_package() -> None:
    assert_none(lambda i: i.library in {"", *TOP_LEVEL})


# modules and folders


def test_setup_names_every_folder_with_modules() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    folders = {module.file.parent for module in MODULES}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
    packages = [module.name for module in MODULES if module.file.name == "__init__.py"]
    assert sorted(setup["options"]["packages"].split()) == sorted(packages)
    lines = setup["options"]["package_dir"].strip().splitlines()
    mapped = dict([part.strip() for part in line.split("=")] for line in lines)
    assert {package: ROOT / folder for package, folder in mapped.items()} == FOLDERS


@pytest.mark.parametrize("module", [m for m in MODULES if m.file.name == "__init__.py"], ids=lambda m: m.name)
def test_a_package_says_in_two_lines_what_is_in_it(module: Module) -> None:
    text = ast.get_docstring(ast.parse(module.file.read_text("utf-8"))) or ""
    assert len([line for line in text.splitlines() if line]) >= 2


def test_no_module_is_longer_than_can_be_read() -> None:
    files = [*(module.file for module in MODULES), *(ROOT / "tests").rglob("*.py")]
    lines = {str(file): len(file.read_text("utf-8").splitlines()) for file in files}
    assert {name: length for name, length in lines.items() if length > MOST_LINES} == {}


def test_every_module_is_named_after_what_is_in_it() -> None:
    assert [m.name for m in MODULES if NAMES_THAT_SAY_NOTHING.intersection(m.name.split("."))] == []
