"""Make a Debian userland for ARM and install our wheel in it, as built from this checkout, with what it needs.

    python -m fusiongcn_edge.benchmarks.arm.sysroot [--kind KIND …] [--fresh]

Programs in it run under qemu-user, without root, containers or a kernel of their own. They see the files of this
machine by the same paths, the checkout among them, but their Python imports only what is installed in the sysroot. It
lies in $XDG_CACHE_HOME (or ~/.cache) and stays there; our wheel and the newest wheels that it needs are installed anew
each time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime.errors import FusionError

ROOT = Path(__file__).resolve().parents[2]
TOOLS = "apt-get install --no-install-recommends qemu-user mmdebstrap"
WITHOUT_DOT_PRODUCT = "fp asimd evtstrm crc32 cpuid"
WITH_DOT_PRODUCT = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
CPUS = {  # the number of the part, and its features, as a kernel shows them: libraries choose their kernels by these
    "cortex-a7": (0xC07, "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"),
    "cortex-a53": (0xD03, WITHOUT_DOT_PRODUCT),  # Raspberry Pi 3, Zero 2 W
    "cortex-a72": (0xD08, WITHOUT_DOT_PRODUCT),  # Raspberry Pi 4
    "cortex-a76": (0xD0B, WITH_DOT_PRODUCT),  # Raspberry Pi 5
}


@dataclass(frozen=True)
class Kind:
    """A system that is supported.

    ``wheels``: what pip installs, ours among it; a + stands before what comes without what it needs. ``tests``: which
    device tests, as ``pytest -k`` takes it; None: it is not made for tests.
    """

    suite: str
    architecture: str  # as Debian calls it
    machine: str  # as wheels do
    triplet: str
    glibc: int  # 2.this
    python: str
    emulator: str
    packages: tuple[str, ...]
    wheels: tuple[str, ...]
    cpus: tuple[str, ...]
    tests: str | None = ""


ELSEWHERE = "not onnx and not litert-fusiongcn]"  # LiteRT, without what takes longest to emulate
COUNTED = (  # libraries whose instructions are counted: newer ones may need more or less
    "numpy==2.4.6", "onnxruntime==1.32.0", "ai-edge-litert==2.3.0", "opencv-python-headless==5.0.0.93"
)  # fmt: skip
ARM64 = ("aarch64", "aarch64-linux-gnu")
KINDS = {
    "arm64": Kind("bookworm", "arm64", *ARM64, 36, "3.11", "qemu-aarch64", (), ("{wheel}[tflite]", "pytest"),
                  ("cortex-a53", "cortex-a72", "cortex-a76")),
    "arm64-trixie": Kind("trixie", "arm64", *ARM64, 41, "3.13", "qemu-aarch64", (), ("{wheel}[tflite]", "pytest"),
                         ("cortex-a76",), ELSEWHERE),
    # opencv-python-headless has no wheel for it but Pi OS's own: Debian's OpenCV stands in, and its numpy 1
    "armhf": Kind("bookworm", "armhf", "armv7l", "arm-linux-gnueabihf", 36, "3.11", "qemu-arm", ("python3-opencv",),
                  ("+{wheel}", "+tflite-runtime==2.14.0", "pytest"), ("cortex-a7",), ELSEWHERE),
    "arm64-counted": Kind("bookworm", "arm64", *ARM64, 36, "3.11", "qemu-aarch64", (), ("{wheel}[tflite]", *COUNTED),
                          ("cortex-a53", "cortex-a72", "cortex-a76"), None),
}  # fmt: skip


def folder(kind: str) -> Path:
    """Where the userland of a kind is kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fusiongcn-edge" / kind


def python_command(kind: str, cpu: str, *, emulator_arguments: Sequence[str] = ()) -> list[str]:
    """Make the command that runs Python in a userland on an emulated CPU; arguments for Python are to follow.

    Raises
    ------
    FusionError
        If the userland has not been made.
    """
    chosen, home = KINDS[kind], folder(kind)
    rootfs, site = home / "rootfs", home / "site"
    if not site.is_dir() or shutil.which(chosen.emulator) is None:
        raise FusionError(
            f"There is no userland {kind}", fix=f"make it with 'python -m {__package__}.sysroot --kind {kind}'"
        )
    libraries = rootfs / "usr" / "lib" / chosen.triplet
    environment = {
        "PYTHONPATH": f"{site}:{rootfs}/usr/lib/python3/dist-packages",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # the loader asks for folders in a way that the emulator does not lead to the userland: they are named in full
        "LD_LIBRARY_PATH": ":".join(map(str, (libraries, libraries / "blas", libraries / "lapack"))),
    }
    return [
        *("env", "-i", "PATH=/usr/bin:/bin", "HOME=/tmp", chosen.emulator, "-cpu", cpu, "-L", str(home / cpu)),
        *emulator_arguments,
        *(part for name, value in environment.items() for part in ("-E", f"{name}={value}")),
        str(rootfs / "usr" / "bin" / f"python{chosen.python}"),
    ]


def make(kind: str, wheel: Path, fresh: bool = False) -> None:
    """Make a userland, or take the one that is there, and install a wheel of ours in it with what that needs."""
    chosen, home = KINDS[kind], folder(kind)
    if fresh:
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "rootfs").is_dir():
        _make_rootfs(chosen, home / "rootfs")
    for cpu in chosen.cpus:
        _make_board(home / cpu, home / "rootfs", cpu)
    shutil.rmtree(home / "site", ignore_errors=True)
    wanted = [requirement.format(wheel=wheel) for requirement in chosen.wheels]
    with_needs = [requirement for requirement in wanted if not requirement.startswith("+")]
    alone = [requirement.removeprefix("+") for requirement in wanted if requirement.startswith("+")]
    for_target(chosen, "install", "--no-compile", "--target", str(home / "site"), *with_needs)
    if alone:
        for_target(chosen, "install", "--no-compile", "--no-deps", "--target", str(home / "site"), *alone)


def build_wheel(target: Path) -> Path:
    """Build our wheel from a copy of this checkout, in which no earlier build has left anything."""
    if not (ROOT / "setup.cfg").is_file():
        raise FusionError("Our wheel is built from a checkout", fix="run this in one, after pip install -e '.[dev]'")
    with tempfile.TemporaryDirectory() as copy:
        unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=unwanted, dirs_exist_ok=True)
        run("pip", "wheel", "--no-deps", "--wheel-dir", str(target), copy)
    return next(target.glob("fusiongcn_edge-*.whl"))


def for_target(chosen: Kind, *arguments: str) -> None:
    """Run pip for the userland's Python instead of the one that runs it."""
    version = chosen.python.replace(".", "")
    tags = [("--implementation", "cp"), *(("--abi", abi) for abi in (f"cp{version}", "abi3", "none"))]
    tags += [("--platform", f"manylinux_2_{minor}_{chosen.machine}") for minor in range(chosen.glibc, 16, -1)]
    tags += [("--platform", f"manylinux2014_{chosen.machine}"), ("--python-version", chosen.python)]
    run("pip", *arguments, "--only-binary=:all:", *(part for tag in tags for part in tag))


def run(*command: str) -> None:
    """Run a program; a FusionError with the end of what it says if it fails."""
    words = [sys.executable, "-m", *command] if command[0] == "pip" else [*command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        said = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise FusionError(f"'{' '.join(command[:2])}' failed; read why, and try again:\n{said}")


def _make_rootfs(chosen: Kind, rootfs: Path) -> None:
    """Python and the libraries that wheels expect of a system; only unpacked, so that nothing runs."""
    if shutil.which("mmdebstrap") is None or shutil.which(chosen.emulator) is None:
        raise FusionError("An emulator and a maker of Debian systems are needed", fix=TOOLS)
    packages = ("python3-minimal", f"libpython{chosen.python}-stdlib", "libstdc++6", "libgcc-s1", *chosen.packages)
    with tempfile.TemporaryDirectory(dir=rootfs.parent) as unfinished:
        target = Path(unfinished) / "rootfs"
        run(
            *("mmdebstrap", "--mode=root", "--variant=extract", f"--architectures={chosen.architecture}"),
            *(f"--include={','.join(packages)}", chosen.suite, str(target), *_mirror()),
        )
        target.rename(rootfs)


def _mirror() -> list[str]:
    """The mirror that this system itself uses, if it is Debian; the tool's own choice wants three to be in step."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()[:1]


def _make_board(board: Path, rootfs: Path, cpu: str) -> None:
    """What programs see as /: the userland, with the kernel's description of another CPU than this machine's."""
    part, features = CPUS[cpu]
    shutil.rmtree(board, ignore_errors=True)
    cpus = board / "sys" / "devices" / "system" / "cpu"
    cpus.mkdir(parents=True)
    (board / "proc").mkdir()
    for name in ("usr", "lib", "etc", "bin", "sbin"):  # the newer systems have but one lib, in usr
        (board / name).symlink_to(rootfs / name if (rootfs / name).exists() else rootfs / "usr" / name)
    count = os.cpu_count() or 1
    for name in ("possible", "present", "online"):
        (cpus / name).write_text(f"0-{count - 1}\n")
    (cpus / "kernel_max").write_text(f"{count - 1}\n")
    text = "processor\t: {}\nFeatures\t: {}\nCPU implementer\t: 0x41\nCPU architecture: {}\nCPU variant\t: 0x0\n"
    text += "CPU part\t: {:#x}\nCPU revision\t: 0\n\n"
    architecture = 7 if cpu == "cortex-a7" else 8
    lines = (text.format(number, features, architecture, part) for number in range(count))
    (board / "proc" / "cpuinfo").write_text("".join(lines))


def main() -> int:
    """Make the kinds that are asked for."""
    parser = new_parser("arm.sysroot", __doc__)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="once for each (default: all)")
    parser.add_argument("--fresh", action="store_true", help="throw away the userland that is there")
    arguments = parser.parse_args()

    def body() -> None:
        with tempfile.TemporaryDirectory() as target:
            wheel = build_wheel(Path(target))
            for kind in arguments.kind or KINDS:
                make(kind, wheel, arguments.fresh)
                print(f"{kind}: {folder(kind)}", flush=True)

    return exit_code(body)


if __name__ == "__main__":
    sys.exit(main())
