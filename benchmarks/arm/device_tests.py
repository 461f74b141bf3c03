"""Run the device tests on emulated CPUs, in the userlands that were made for them.

    python -m fusiongcn_edge.benchmarks.arm.device_tests [--kind KIND …] [--cpu CPU …]

Exit code 1 if a test fails.
"""

from __future__ import annotations

import subprocess
import sys
from time import monotonic

from fusiongcn_edge.benchmarks.arm.sysroot import CPUS, KINDS, ROOT, python_command
from fusiongcn_edge.benchmarks.script import exit_code, new_parser


def passes(kind: str, cpu: str) -> bool:
    """Whether all device tests for a kind of userland pass on a CPU; pytest's own output is shown."""
    tests = ROOT / "tests" / "device"
    options = ["--confcutdir", str(tests), "-p", "no:cacheprovider", "-k", KINDS[kind].tests or "", "--durations=3"]
    command = [*python_command(kind, cpu), "-m", "pytest", *options, str(tests)]
    return subprocess.run(command, cwd=ROOT).returncode == 0


def main() -> int:
    """Run them on each CPU in turn."""
    parser = new_parser("arm.device_tests", __doc__)
    tested = [kind for kind, chosen in KINDS.items() if chosen.tests is not None]
    parser.add_argument("--kind", action="append", choices=tested, help="once for each (default: all)")
    parser.add_argument("--cpu", action="append", choices=list(CPUS), help="once for each (default: all)")
    arguments = parser.parse_args()
    failed = []

    def body() -> None:
        for kind in arguments.kind or tested:
            for cpu in KINDS[kind].cpus:
                if arguments.cpu is None or cpu in arguments.cpu:
                    start = monotonic()
                    print(f"-- {kind} on {cpu}", flush=True)
                    if not passes(kind, cpu):
                        failed.append(f"{kind} on {cpu}")
                    print(f"-- {monotonic() - start:.0f} s", flush=True)
        if failed:
            print(f"Tests failed: {', '.join(failed)}.", file=sys.stderr)

    return exit_code(body) or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
