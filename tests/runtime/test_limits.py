"""Limits hold: of memory, of threads that share a fuser, and of what a long-running process comes to hold."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.engines.base import ENGINES, installed_engines
from fusiongcn_edge.runtime.io.images import write_image
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.system import resources
from fusiongcn_edge.runtime.system.resources import free_memory

Picture = NDArray[Any]
MODELS = ["fusiongcn-lite", "fusiongcn"]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

# a command under a limit of its address space (0: none), and then its peak memory in bytes
LIMITED = """
import resource, sys
from pathlib import Path
from fusiongcn_edge.cli import main
limit, *arguments = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_AS, (int(limit),) * 2)
code = main(arguments)
status = Path("/proc/self/status").read_text()
print(next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")))
sys.exit(code)
"""


def opened(model: str, engine: str, **options: Any) -> Fuser:
    if engine not in installed_engines():
        pytest.skip(f"{engine} is not installed")
    return Fuser.open(model, engine=engine, **options)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two photographs of 480x640."""
    folder = tmp_path_factory.mktemp("frames")
    for name, picture in zip("ab", synthetic_pair(480, 640), strict=True):
        write_image(folder / f"{name}.tif", picture)
    return [str(folder / f"{name}.tif") for name in "ab"]


def limited(limit: int, *arguments: object) -> tuple[int, int, str]:
    """Exit code, peak bytes and what was said of a command under a limit of its address space."""
    command = [sys.executable, "-c", LIMITED, str(limit), *map(str, arguments)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, int(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.process
@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    ("model", "megabytes", "command"),
    [("fusiongcn-lite", 180, "fuse"), ("fusiongcn-lite", 180, "stack"), ("fusiongcn", 300, "fuse")],
)
def test_max_memory_is_kept_to_and_changes_no_byte(
    model: str, megabytes: int, command: str, frames: list[str], tmp_path: Path
) -> None:
    threads = ["--model", model, "--threads", "2"]
    most = ["--max-memory", megabytes]
    code, peak, told = limited(0, command, *frames, *threads, *most, "-o", tmp_path / "x.tif")
    print(f"{command}, {model}: {peak / 1e6:.0f} of {megabytes} MB")
    assert code == 0, told
    assert peak <= megabytes * 1e6
    free, _, _ = limited(0, command, *frames, *threads, "-o", tmp_path / "y.tif")
    assert free == 0
    assert (tmp_path / "x.tif").read_bytes() == (tmp_path / "y.tif").read_bytes()


@pytest.mark.slow
@pytest.mark.process
@linux
@pytest.mark.parametrize("model", MODELS)
def test_what_does_not_fit_into_max_memory_is_refused(model: str, frames: list[str], tmp_path: Path) -> None:
    output = ["-o", tmp_path / "x.tif"]
    code, _, told = limited(0, "fuse", *frames, "--model", model, "--max-memory", 90, *output)
    assert code == 2
    assert told.startswith("fusiongcn: Photographs of this size need about ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.process
@linux
@pytest.mark.parametrize("gigabytes", [0.4, 1])
def test_address_space_that_does_not_suffice_is_told_in_a_sentence(
    gigabytes: float, frames: list[str], tmp_path: Path
) -> None:
    """Whatever library it is that gets no more."""
    arguments = [*frames, "--model", "fusiongcn", "--threads", "2", "-o", tmp_path / "x.tif"]
    code, _, told = limited(int(gigabytes * 1e9), "fuse", *arguments)
    print(f"{gigabytes} GB: {code} {told!r}")
    assert code == (0 if told == "" else 2)
    assert told.count("\n") <= 1
    assert len(list(tmp_path.iterdir())) == (code == 0)


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A control group of our own for memory, of the first or second version."""
    made = None
    for line in Path("/proc/self/cgroup").read_text().splitlines() if Path("/proc/self/cgroup").exists() else []:
        number, controllers, path = line.split(":", 2)
        above = resources.CGROUPS / ("memory" if "memory" in controllers.split(",") else "") / path.lstrip("/")
        limit = "memory.limit_in_bytes" if "memory" in controllers.split(",") else "memory.max"
        if number != "0" and "memory" not in controllers.split(","):
            continue
        group = above / f"fusiongcn-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / limit).exists():
            made = group
            break
        group.rmdir()
    if made is None:
        pytest.skip("control groups for memory cannot be made here")
    yield made
    made.rmdir()


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("model", MODELS)
def test_a_containers_memory_suffices_where_the_leanest_way_fits(
    model: str, control_group: Path, frames: list[str], tmp_path: Path
) -> None:
    limit = "memory.max" if (control_group / "memory.max").exists() else "memory.limit_in_bytes"
    (control_group / limit).write_text(str(300_000_000))
    enter = f"import os; open({str(control_group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
    arguments = ["fuse", *frames, "--model", model, "--threads", "2", "-o", str(tmp_path / "x.tif")]
    command = [sys.executable, "-c", enter + LIMITED, "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(f"{model}: peak {int(done.stdout.splitlines()[-1]) / 1e6:.0f} MB under 300 MB")


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_service_or_of_what_it_belongs_to_counts(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {1: ("limit_in_bytes", "usage_in_bytes", "total_inactive_file"), 2: ("max", "current", "inactive_file")}
    limit, used, cached = names[version]
    root = tmp_path / "memory" if version == 1 else tmp_path
    service = root / "system.slice" / "fusion.service"
    service.mkdir(parents=True)
    told = (
        "4:memory:/system.slice/fusion.service\n0::/elsewhere\n" if version == 1 else "0::/system.slice/fusion.service"
    )
    (tmp_path / "cgroup").write_text(told)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path)
    monkeypatch.setattr(resources, "OWN_CGROUPS", tmp_path / "cgroup")
    (service / f"memory.{limit}").write_text("3000000\n")
    (service / f"memory.{used}").write_text("2000000\n")
    assert free_memory() == int(1_000_000 * resources.FREE_SHARE)
    (service / "memory.stat").write_text(f"anon 5\n{cached} 500000\n")  # files that it need not keep in memory
    assert free_memory() == int(1_500_000 * resources.FREE_SHARE)
    (service.parent / f"memory.{limit}").write_text("2500000\n")
    (service.parent / f"memory.{used}").write_text("2300000\n")
    assert free_memory() == int(200_000 * resources.FREE_SHARE)


@pytest.mark.slow
@pytest.mark.parametrize("model", [*MODELS, "fusiongcn-lite-int8"])
@pytest.mark.parametrize("engine", ENGINES)
def test_four_threads_share_a_fuser_and_get_what_one_gets(
    engine: str, model: str, photographs: tuple[Picture, Picture]
) -> None:
    fuser = opened(model, engine, threads=2)
    first, second = photographs
    pairs = [(first, second), (second, first), (first[:80, :100], second[:80, :100]), (first[::-1], second[::-1])]

    def fused(number: int) -> str:
        result = fuser.fuse(*pairs[number % len(pairs)])
        return hashlib.sha256(result.image.tobytes() + result.probability.tobytes()).hexdigest()

    alone = [fused(number) for number in range(len(pairs))]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fused, range(12))) == alone * 3


@pytest.mark.process
@pytest.mark.slow
@linux
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_process_that_goes_on_fusing_does_not_grow(engine: str, model: str) -> None:
    """Twenty fusions here, in a process of its own; without --size and --fusions it is a thousand of 520x520."""
    command = [
        sys.executable,
        "-m",
        "fusiongcn_edge.benchmarks.experiments.memory_growth",
        "--model",
        model,
        "--engine",
        engine,
    ]
    options = ["--size", "128x128", "--fusions", "20", "--threads", "1", "--most", "5"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
