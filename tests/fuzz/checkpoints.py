"""Checkpoints, and the state and log of a training run, which are torch's zip files and a CSV."""

from __future__ import annotations

import io
import random
import zipfile
from functools import cache
from typing import Any

import numpy as np

from fuzz.reader import Reader, changed_bytes, scratch, written


def _tiny(**facts: Any) -> bytes:
    """A checkpoint of Lite as training writes it."""
    import torch

    from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite

    superpixels = {"segments_per_side": 0.5, "compactness": 0.1, "iterations": 3}
    file = io.BytesIO()
    torch.manual_seed(0)
    state = FusionGCNLite().state_dict()
    torch.save({"state": state, "network": "lite", "superpixels": superpixels, "origin": {}, **facts}, file)
    return file.getvalue()


@cache
def _run(step: int = 0) -> Any:
    """A training run that has not begun."""
    import cv2

    from fusiongcn_edge.model.config import CONFIGS
    from fusiongcn_edge.model.data.photos import Photographs
    from fusiongcn_edge.model.training import Run
    from fusiongcn_edge.runtime.io.synthetic import synthetic_photo

    folder = scratch() / "photographs"
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "one.png"), np.clip(synthetic_photo(128, 128), 0, 255).astype(np.uint8))
    photographs = Photographs(folder)
    target = scratch() / "run"
    target.mkdir(exist_ok=True)
    return Run(CONFIGS["lite"], target, photographs, photographs)


def _state() -> bytes:
    run = _run()
    run.save()
    return (run.folder / "state.pt").read_bytes()


def _checkpoints() -> list[bytes]:
    import torch

    file = io.BytesIO()
    torch.save({"state": {}, "network": ["lite"], "superpixels": 3, "blend": []}, file)
    old = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, old, _use_new_zipfile_serialization=False)
    return [_tiny(), _tiny(blend="soft"), file.getvalue(), old.getvalue()]


def read_checkpoint(data: bytes) -> None:
    """As ``export`` and ``train --weights`` read it."""
    import torch

    from fusiongcn_edge.model.checkpoint import load_network

    network, facts = load_network(written(data, "weights.pt"))
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())
    assert isinstance(facts.get("origin", {}), dict)


def read_state(data: bytes) -> None:
    """As a training run goes on from it."""
    run = _run()
    written(data, "run/state.pt")
    run._resume()
    assert isinstance(run.step, int)
    assert 0 <= run.step <= run.config.steps
    assert isinstance(run.origin, dict)


def read_log(data: bytes) -> None:
    """As a training run goes on writing it."""
    from fusiongcn_edge.model.run_log import Log

    (scratch() / "run").mkdir(exist_ok=True)
    Log(written(data, "run/log.csv"), 500)


def _logs() -> list[bytes]:
    from fusiongcn_edge.model.run_log import LOG_FIELDS

    rows = "".join(",".join([str(step), *["0.5"] * (len(LOG_FIELDS) - 1)]) + "\r\n" for step in (0, 250, 750))
    return [(",".join(LOG_FIELDS) + "\r\n" + rows).encode(), b"step\r\n1,2\r\n"]


def changed_zip(data: bytes, rng: random.Random) -> bytes:
    """A zip file that is one still, with other bytes in one of its files; the pickle most often."""
    if rng.random() < 0.2:
        return changed_bytes(data, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return changed_bytes(data, rng)
    names = [name for name in files if name.endswith("data.pkl")] if rng.random() < 0.7 else list(files)
    if names:
        name = rng.choice(names)
        files[name] = changed_bytes(files[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


READERS = [
    Reader("checkpoint", _checkpoints, read_checkpoint, changed_zip, 1 << 18, ("model.checkpoint",)),
    Reader("training-state", lambda: [_state()], read_state, changed_zip, 1 << 19, ("model.training",)),
    Reader("training-log", _logs, read_log, modules=("model.run_log",)),
]
