"""Copies of a bundle with altered graphs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.bundle.manifest import MANIFEST
from fusiongcn_edge.runtime.bundle.reader import SHIPPED, manifest_checksum


def with_graph(bundle: Path, change: Callable[[Any], None]) -> Path:
    """A copy of Lite whose CNN is changed, hash and all."""
    import onnx

    shutil.copytree(SHIPPED / "onnx" / "fusiongcn-lite", bundle)
    model = onnx.load(bundle / "cnn.onnx")
    change(model)
    data = model.SerializeToString()
    (bundle / "cnn.onnx").write_bytes(data)
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    manifest["graphs"]["cnn"] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["checksum"] = manifest_checksum(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return bundle
