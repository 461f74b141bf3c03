"""What the package stands on and brings: versions with bounds, known licences, verified models, and no network."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from numpy.typing import NDArray
from packaging.requirements import Requirement
from packaging.version import Version

import fusiongcn_edge
from fusiongcn_edge.benchmarks.arm.sysroot import build_wheel
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST
from fusiongcn_edge.runtime.bundle.reader import SHIPPED, load_bundle
from fusiongcn_edge.runtime.errors import BundleError
from fusiongcn_edge.runtime.io.images import write_image
from helpers.paths import ROOT

OWN = "fusiongcn-edge"
UNBOUND = {  # a developer's alone
    "filelock", "hypothesis", "pdoc", "pillow", "pytest", "pytest-xdist", "scikit-image", "tifffile", "setuptools",
    "thop",
}  # fmt: skip
MAINTAINERS = ("fusiongcn_edge/benchmarks/arm/", "fusiongcn_edge/benchmarks/experiments/")
BUNDLES = sorted(path.parent.relative_to(SHIPPED).as_posix() for path in SHIPPED.glob(f"*/*/{MANIFEST}"))
NETWORK = {"socket", "ssl", "urllib", "http", "ftplib", "smtplib", "asyncio", "socketserver", "xmlrpc", "requests"}


def requirements() -> dict[str, list[Requirement]]:
    """Of setup.cfg: those of the plain install ("") and of the extras."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    groups = {"": setup["options"]["install_requires"], **setup["options.extras_require"]}
    return {
        name: [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]
        for name, text in groups.items()
    }


def test_every_requirement_is_bounded_on_both_sides() -> None:
    for group in requirements().values():
        for requirement in group:
            operators = {specifier.operator for specifier in requirement.specifier}
            old_board = '== "armv7l"' in str(requirement.marker)
            known = requirement.name in {OWN, *UNBOUND} or "==" in operators or old_board
            assert {">=", "<"} <= operators or known, str(requirement)


def test_the_lowest_versions_that_are_tried_are_those_that_are_allowed() -> None:
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    tried = {line.partition("==")[0]: Version(line.partition("==")[2]) for line in lines if not line.startswith("#")}
    groups = requirements()
    wanted = [r for name in ("", "tflite", "heic", "raw") for r in groups[name] if '== "armv7l"' not in str(r.marker)]
    assert {requirement.name for requirement in wanted} == set(tried)
    for requirement in wanted:
        least = next(Version(s.version) for s in requirement.specifier if s.operator == ">=")
        assert tried[requirement.name] in requirement.specifier
        assert tried[requirement.name].release[: len(least.release)] == least.release, requirement


@pytest.mark.parametrize("name", ["", "tflite"])
def test_what_is_installed_here_is_allowed(name: str) -> None:
    for requirement in requirements()[name]:
        if requirement.marker is None or requirement.marker.evaluate():
            assert importlib.metadata.version(requirement.name) in requirement.specifier


def needed(requirement: Requirement) -> set[str]:
    """Names of all that an installed package brings with it, its own among them."""
    found, left = set[str](), [requirement.name]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            others = map(Requirement, importlib.metadata.requires(name) or [])
            left += [r.name for r in others if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


FAMILIES = {
    "Apache": r"apache", "MIT": r"\bMIT\b", "BSD": r"BSD", "MPL": r"MPL|Mozilla", "PSF": r"PSF|Python Software",
    "GPL": r"GPL|GNU", "Zlib": r"zlib", "CC0": r"CC0",
}  # fmt: skip


def families(text: str) -> set[str]:
    return {name for name, pattern in FAMILIES.items() if re.search(pattern, text, re.IGNORECASE)}


def test_the_licence_of_all_that_a_device_runs_is_listed() -> None:
    table = (ROOT / "docs" / "licences.md").read_text("utf-8")
    listed = {row[0]: row[1] for row in re.findall(r"^\| ([^ |]+) \| ([^|]+) \|", table, re.MULTILINE)}
    groups = requirements()
    here = [r for r in groups[""] + groups["tflite"] if r.marker is None or r.marker.evaluate()]
    for name in set().union(*map(needed, here)):
        assert name.lower().replace("-", "_") in {key.lower().replace("-", "_") for key in listed}, name
        told = next(text for key, text in listed.items() if key.lower().replace("-", "_") == name.replace("-", "_"))
        facts = importlib.metadata.metadata(name)
        stated = facts.get("License-Expression") or facts.get("License") or ""
        stated = stated if len(stated) < 200 else ""  # some put all of its text there
        stated += " ".join(line for line in facts.get_all("Classifier") or [] if line.startswith("License"))
        assert families(stated), f"{name} states no known licence: {stated}"
        assert families(stated) <= families(told), f"{name} states {stated}"


# models


@pytest.mark.parametrize("name", BUNDLES)
def test_every_file_of_a_shipped_model_is_verified(name: str) -> None:
    folder = SHIPPED / name
    bundle = load_bundle(folder)
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    assert set(manifest["graphs"]) == set(bundle.graphs)  # none is passed over
    assert {path.name for path in folder.iterdir()} == {MANIFEST, *(graph.file for graph in bundle.graphs.values())}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_flipped_bit_in_any_file_of_a_shipped_model_is_refused(name: str, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / name, tmp_path / "model")
    for path in sorted((tmp_path / "model").iterdir()):
        data = path.read_bytes()
        for place in (0, len(data) // 3, len(data) // 2, len(data) - 3):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(BundleError):
                load_bundle(tmp_path / "model")
        path.write_bytes(data)
    load_bundle(tmp_path / "model")


# wheel


@pytest.mark.slow
@pytest.mark.process
def test_the_wheel_is_the_checkout_without_what_only_maintainers_run(tmp_path: Path) -> None:
    with ZipFile(build_wheel(tmp_path)) as wheel:
        packed = {name for name in wheel.namelist() if not name.partition("/")[0].endswith(".dist-info")}
    folders = {"": ROOT / "src" / "fusiongcn_edge"}
    folders |= {f"{name}/": ROOT / name for name in ("runtime", "model", "calibration", "export", "benchmarks")}
    wanted = set()
    for inside, folder in folders.items():
        files = [*folder.rglob("*.py"), *folder.rglob("*.css"), *folder.glob("py.typed")]
        files += [*folder.glob("bundle/*.md"), *folder.glob("bundles/*/*/*")]
        wanted |= {f"fusiongcn_edge/{inside}{file.relative_to(folder).as_posix()}" for file in files}
    assert packed == {name for name in wanted if not name.startswith(MAINTAINERS)}


# network


def test_no_module_imports_what_reaches_a_network() -> None:
    wrong = []
    for room in ("src/fusiongcn_edge", "runtime", "model", "calibration", "export", "benchmarks"):
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                wrong += [f"{file}: {name}" for name in names if name.partition(".")[0] in NETWORK]
    assert wrong == []


ALONE = """
import socket

def refused(*_, **__):
    raise RuntimeError("the network was asked for")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refused
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refused
"""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("how", ["no network at all", "no way to ask for it"])
@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_commands_need_no_network(
    how: str, engine: str, photographs: tuple[NDArray[Any], NDArray[Any]], tmp_path: Path
) -> None:
    prefix, environment = [], dict(os.environ)
    if how == "no network at all":
        prefix = ["unshare", "-n"]
        if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
            pytest.skip("no network namespace can be made here")
    else:
        (tmp_path / "sitecustomize.py").write_text(ALONE)
        paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    for side, picture in zip("ab", photographs, strict=True):
        (tmp_path / "in" / side).mkdir(parents=True)
        write_image(tmp_path / "in" / side / "1.png", picture)
    for arguments in (
        ["fuse", "in/a/1.png", "in/b/1.png", "-o", "x.png", "--engine", engine],
        ["batch", "in", "-o", "out", "--engine", engine],
        ["info", "--model", "fusiongcn-lite", "--engine", engine],
    ):
        command = [*prefix, sys.executable, "-m", "fusiongcn_edge", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "1.png").exists()
    assert fusiongcn_edge.__version__ in done.stdout
