"""Writing a bundle: whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.bundle import FORMAT, MANIFEST, Graph, manifest_checksum
from fusiongcn_edge.runtime.errors import BundleError
from fusiongcn_edge.runtime.files import check_folder, read_file


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a place where no bundle can be written: something else is there, or its folder cannot be written to.

    Raises
    ------
    BundleError, OutputError
    """
    path = Path(os.path.realpath(path))
    check_folder(path.parent / MANIFEST)
    if not os.path.exists(path):
        return
    if not os.path.isfile(path / MANIFEST):
        raise BundleError(f"{path} exists and is no bundle: choose another name, or remove it first.")
    others = sorted(set(os.listdir(path)) - {MANIFEST, *_graph_files(path)})
    if others:
        raise BundleError(f"{path} also holds {others[0]}, which would be lost: choose another name, or move it away.")


def _graph_files(path: Path) -> set[str]:
    """Names of the graph files of a bundle that may be damaged."""
    try:
        return {str(graph["file"]) for graph in json.loads(read_file(path / MANIFEST))["graphs"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def write_bundle(path: str | os.PathLike[str], manifest: dict[str, Any], graphs: dict[str, Graph]) -> None:
    """Write a bundle; whole or not at all. An earlier bundle at the same path is replaced.

    ``manifest`` is everything but ``format``, ``graphs`` and ``checksum``, which are filled in here.

    Raises
    ------
    BundleError, OutputError
        If the path holds something that is no bundle, or cannot be written.
    """
    check_target(path)
    path = Path(os.path.realpath(path))  # a link to a bundle goes on pointing to it
    manifest = {"format": FORMAT, **manifest, "graphs": {}}
    for name, graph in graphs.items():
        manifest["graphs"][name] = {
            "file": graph.file,
            "bytes": len(graph.data),
            "sha256": hashlib.sha256(graph.data).hexdigest(),
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            **({} if graph.entry is None else {"entry": graph.entry}),
        }
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.absolute().parent))
        temporary.chmod(0o755)
        for file, data in {graph.file: graph.data for graph in graphs.values()}.items():
            (temporary / file).write_bytes(data)
        manifest["checksum"] = manifest_checksum(manifest)
        lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in manifest.items()]
        (temporary / MANIFEST).write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
        if path.exists():
            old = temporary.with_suffix(".old")
            path.rename(old)
            try:
                temporary.rename(path)
            except BaseException:
                old.rename(path)
                raise
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written ({error.strerror}): check the folder and the free space."
        ) from None
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary)
