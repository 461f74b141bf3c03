"""Fixtures: a random network, its bundles, photographs and, where at hand, the authors' files; and the markers."""

from __future__ import annotations

from helpers import workers  # noqa: F401  before libraries count the cores

# isort: split
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fusiongcn_edge.cli import main
from fusiongcn_edge.export import pipeline
from fusiongcn_edge.model.checkpoint import load_checkpoint, save_checkpoint
from fusiongcn_edge.model.fusiongcn import FusionGCN, GATConv, GCNConv, GraphLayerNorm
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.io.images import read_image, write_image
from helpers import profiles  # noqa: F401  it chooses hypothesis's
from helpers.bundle_cache import exported
from helpers.common import RANDOM_SUPERPIXELS, Fails, Json, Picture, Stage, contents
from helpers.paths import SHARED

# marker -> fixtures: a test that uses one of them, directly or through another, has the marker
MARKED_BY_FIXTURE = {
    "export": {
        *("random_bundle", "whole_bundle", "tflite_bundle", "whole_tflite_bundle", "official_bundle"),
        *("official_tflite", "lite_bundles"),
    },
    "shared": {"shared"},
}


def pytest_configure() -> None:
    """Let Ctrl-C stop commands: what a shell starts in the background ignores it, and so would what tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """With ``-n``, let a worker that has finished take tests from another: modules stay together, as fixtures like."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs an exported bundle or the authors' files by its fixtures."""
    for item in items:
        for marker, fixtures in MARKED_BY_FIXTURE.items():
            if fixtures.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(marker)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the authors' checkpoint, dumps of their code, and photographs; none of it is part of the project."""
    if not (SHARED / "reference" / "fusiongcn-official.ckpt").is_file():
        pytest.skip(f"the authors' checkpoint and data are not in {SHARED}; FUSIONGCN_SHARED can name another folder")
    return SHARED


@pytest.fixture(scope="session")
def official_checkpoint(shared: Path) -> Path:
    return shared / "reference" / "fusiongcn-official.ckpt"


@pytest.fixture(scope="session")
def official_network(official_checkpoint: Path) -> FusionGCN:
    return load_checkpoint(official_checkpoint)[0]


@pytest.fixture(scope="session")
def official_bundle(official_checkpoint: Path) -> Path:
    return exported(official_checkpoint, "official")


@pytest.fixture(scope="session", params=["lytro-01", "lytro-13", "mffw-01", "gray-05"])
def stage(request: pytest.FixtureRequest, shared: Path) -> Stage:
    name: str = request.param
    kind, number = name.split("-")
    folder = shared / "data" / "pairs" / {"gray": "grayscale"}.get(kind, kind)
    first, second = (read_image(next((folder / side).glob(f"{number}.*"))) for side in "ab")
    with np.load(shared / "reference" / "stages" / f"{name}.npz") as dump:
        return Stage(name, first, second, dict(dump))


@pytest.fixture(scope="session")
def random_network() -> FusionGCN:
    """Every weight, statistic and scale random, so that none of them can be forgotten unnoticed."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = FusionGCN()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.2, 2.0)
            if isinstance(module, nn.BatchNorm2d | GraphLayerNorm):
                nn.init.uniform_(module.weight, 0.5, 1.5)
            if isinstance(module, nn.BatchNorm2d | GraphLayerNorm | GCNConv | GATConv):
                nn.init.uniform_(module.bias, -0.3, 0.3)
        with torch.no_grad():  # so that some probabilities are high and some low
            network.out[0].weight.mul_(20)
            network.out[0].bias.sub_(0.515).mul_(20)
    return network.eval()


@pytest.fixture(scope="session")
def random_checkpoint(random_network: FusionGCN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("random") / "random.ckpt"
    save_checkpoint(path, random_network, {"superpixels": RANDOM_SUPERPIXELS, "origin": {"weights": "random"}})
    return path


@pytest.fixture(scope="session")
def random_bundle(random_checkpoint: Path) -> Path:
    """The bundle of ``random_network``; to be read, not to be changed."""
    return exported(random_checkpoint, "random")


@pytest.fixture(scope="session")
def whole_bundle(random_checkpoint: Path) -> Path:
    """The same with its CNN as one graph."""
    return exported(random_checkpoint, "whole", whole_cnn=True)


@pytest.fixture(scope="session")
def tflite_bundle(random_checkpoint: Path) -> Path:
    """The same as TFLite, for tiles of two sizes."""
    return exported(random_checkpoint, "tflite", format="tflite", sizes=[(16, 40), (24, 20)], superpixels=[12, 60])


@pytest.fixture(scope="session")
def whole_tflite_bundle(random_checkpoint: Path) -> Path:
    """The same as TFLite with its CNN as one graph for photographs of one size."""
    options: dict[str, Any] = {"format": "tflite", "whole_cnn": True, "sizes": [(48, 64)], "superpixels": [60]}
    return exported(random_checkpoint, "whole-tflite", **options)


@pytest.fixture(params=["onnx", "litert"])
def bundle(request: pytest.FixtureRequest, random_bundle: Path, tflite_bundle: Path) -> Bundle:
    """The random network for either engine, opened."""
    return load_bundle(random_bundle if request.param == "onnx" else tflite_bundle)


@pytest.fixture
def bundle_copy(random_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    path = tmp_path / "bundle"
    shutil.copytree(random_bundle, path)
    return path


@pytest.fixture
def no_second_export(monkeypatch: pytest.MonkeyPatch, random_bundle: Path) -> None:
    """Graphs of the random network, already exported, in place of some seconds of torch's exporter."""
    graphs = dict(load_bundle(random_bundle).graphs)
    gcn = graphs.pop("gcn")
    stages = json.loads((random_bundle / "bundle.json").read_text())["stages"]
    monkeypatch.setattr(pipeline, "gcn_to_onnx", lambda network: gcn)
    monkeypatch.setattr(pipeline, "stages_to_onnx", lambda network: (graphs, stages))


@pytest.fixture(scope="session")
def photographs() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A pair, uint8 96 x 128 x 3: the left half of the first and the right half of the second are sharp."""
    rng = np.random.default_rng(3)
    coarse = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (128, 96), interpolation=cv2.INTER_CUBIC)
    scene = cv2.addWeighted(coarse, 0.6, rng.integers(0, 256, (96, 128, 3), dtype=np.uint8), 0.4, 0)
    blurred = cv2.GaussianBlur(scene, (0, 0), 3)
    first, second = scene.copy(), blurred.copy()
    first[:, 64:], second[:, 64:] = blurred[:, 64:], scene[:, 64:]
    return first, second


@pytest.fixture
def picture() -> Picture:
    """Bright corners of different brightness, RGB, 32 x 48."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:8, :16], picture[:8, 32:], picture[24:, :16] = (250, 40, 10), 120, 60
    return picture


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny photographs, full of detail, to make scenes from."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(17)
    for index in range(3):
        picture = np.zeros((120, 160, 3), np.float32)
        for cells in (4, 16, 64):
            noise = rng.random((cells, cells, 3), np.float32)
            picture += cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC) * (255 / 3)
        cv2.imwrite(str(folder / f"photo-{index}.png"), np.clip(picture, 0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def folder(tmp_path: Path, photographs: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding the pair ``a.png`` and ``b.png``."""
    monkeypatch.chdir(tmp_path)
    for name, image in zip(("a.png", "b.png"), photographs, strict=True):
        write_image(tmp_path / name, image)
    return tmp_path


@pytest.fixture
def fails(folder: Path, capfd: pytest.CaptureFixture[str]) -> Fails:
    """Runs a command that must end with exit code 2, one sentence and no file made or changed; gives the sentence."""

    def run(*arguments: str | Path) -> str:
        before = contents(folder)
        capfd.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("fusiongcn: ")
        assert printed.err.endswith(".\n")
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        assert contents(folder) == before
        return printed.err

    return run


@pytest.fixture
def stacks(tmp_path: Path, photographs: tuple[Picture, Picture]) -> Path:
    """A folder with six pairs."""
    for number in range(6):
        for side, picture in zip("ab", photographs, strict=True):
            path = tmp_path / "in" / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, np.roll(picture, 7 * number, axis=1))
    return tmp_path / "in"


@pytest.fixture
def report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs ``fusiongcn report`` on these contents, which must succeed, and gives what it writes."""

    def run(*contents: Json, output: str = "page.html", options: tuple[str, ...] = ()) -> str:
        names = []
        for number, content in enumerate(contents):
            names.append(str(tmp_path / f"{number}.json"))
            Path(names[-1]).write_text(json.dumps(content))
        code = main(["report", *names, "-o", str(tmp_path / output), *options])
        assert code == 0, capsys.readouterr().err
        return (tmp_path / output).read_text("utf-8")

    return run
