"""Write a bundle, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.bundle.manifest import FORMAT, MANIFEST, Graph
from fusiongcn_edge.runtime.bundle.reader import manifest_checksum
from fusiongcn_edge.runtime.errors import BundleError
from fusiongcn_edge.runtime.io.files import check_folder, temporary_beside, write_new


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a place where no bundle can be written: something is there already, or its folder cannot be written to.

    Raises
    ------
    BundleError, OutputError
    """
    path = Path(os.path.abspath(path))
    if os.path.lexists(path):
        raise BundleError(f"{path} exists, and no model is written over", fix="choose another name, or remove it first")
    check_folder(path)


def write_bundle(path: str | os.PathLike[str], manifest: dict[str, Any], graphs: dict[str, Graph]) -> None:
    """Write a bundle where there is nothing yet; whole or not at all.

    ``manifest`` is everything but ``format``, ``graphs`` and ``checksum``, which are filled in here.

    Raises
    ------
    BundleError, OutputError
        If something is there already, or it cannot be written.
    """
    check_target(path)
    path = Path(os.path.abspath(path))
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
    manifest["checksum"] = manifest_checksum(manifest)
    lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in manifest.items()]
    files = {graph.file: graph.data for graph in graphs.values()}
    files[MANIFEST] = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    temporary = temporary_beside(path)
    try:
        temporary.mkdir()
        for file, data in files.items():
            write_new(temporary / file, data)
        temporary.rename(path)  # fails if something has come there meanwhile
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written", found=error.strerror, fix="check the folder and the free space"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
