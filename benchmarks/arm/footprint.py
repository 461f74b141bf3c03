"""What the plain install takes on 64-bit ARM, on disk and in memory.

    python -m fusiongcn_edge.benchmarks.arm.footprint [--model NAME …] [--size HxW]

Disk: the newest wheels that pip takes for Debian 12, ours among them, and what they are when installed. Memory: the
peak of the process that fuses a made pair (``benchmarks/experiments/peak_rss.py``) on an emulated Cortex-A72, sampled
from outside five times a second, which is often where everything is a hundred times slower; what the emulator itself
holds is not in it. All in MB (10^6 bytes). The published network at 520x520 takes many minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from time import sleep

from fusiongcn_edge.benchmarks.arm.sysroot import KINDS, ROOT, build_wheel, for_target, python_command
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime.cli.options import add_size_argument
from fusiongcn_edge.runtime.errors import FusionError

KIND, CPU = "arm64", "cortex-a72"
PROGRAM = ROOT / "benchmarks" / "experiments" / "peak_rss.py"  # a file, for the sysroot has only the wheel
MODELS = ("fusiongcn-lite", "fusiongcn")
EMULATED = 1 << 40  # bytes: qemu puts a 64-bit program's memory below this address, and its own lies far above


def install_bytes() -> tuple[dict[str, int], int]:
    """Bytes of each wheel of a plain install, by its file's name, and of all files that they become."""
    chosen = KINDS[KIND]
    with tempfile.TemporaryDirectory() as folder:
        own, wheels, target = (Path(folder) / name for name in ("own", "wheels", "target"))
        for_target(chosen, "download", "--dest", str(wheels), str(build_wheel(own)))
        found = {file.name: file.stat().st_size for file in sorted(wheels.iterdir())}
        links = [str(wheels / name) for name in found]
        for_target(chosen, "install", "--no-compile", "--no-deps", "--target", str(target), *links)
        return found, sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


def emulated_memory(smaps: str) -> int:
    """Resident bytes of an emulated program, from what the kernel tells of the emulator's process."""
    total, emulated = 0, False
    for line in smaps.splitlines():
        first, _, rest = line.partition(" ")
        if first == "Rss:":
            total += int(rest.split()[0]) * 1024 * emulated
        elif not first.endswith(":"):  # the first line of a mapping begins with its addresses
            emulated = int(first.partition("-")[0], 16) < EMULATED
    return total


def peak_memory(model: str, size: tuple[int, int]) -> int:
    """Peak resident bytes of an emulated process that fuses a made pair."""
    command = [*python_command(KIND, CPU), str(PROGRAM), "--model", model]
    peak = 0
    with subprocess.Popen([*command, "--size", f"{size[0]}x{size[1]}"], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                peak = max(peak, emulated_memory(Path(f"/proc/{process.pid}/smaps").read_text()))
            except OSError:  # it has just ended
                break
            sleep(0.2)
    if process.returncode != 0:
        raise FusionError(f"{model} could not be measured", fix="its own message stands above")
    return peak


def main() -> int:
    """Measure and print."""
    parser = new_parser("arm.footprint", __doc__)
    parser.add_argument(
        "--model", action="append", metavar="NAME", help=f"once for each (default: {', '.join(MODELS)})"
    )
    add_size_argument(parser)
    arguments = parser.parse_args()

    def body() -> None:
        wheels, installed = install_bytes()
        for name, size in wheels.items():
            print(f"{size / 1e6:8.1f} MB  {name}")
        print(f"{sum(wheels.values()) / 1e6:8.1f} MB  all wheels; {installed / 1e6:.1f} MB installed", flush=True)
        for model in arguments.model or MODELS:
            print(f"{peak_memory(model, arguments.size) / 1e6:8.0f} MB  peak memory, {model}", flush=True)

    return exit_code(body)


if __name__ == "__main__":
    sys.exit(main())
