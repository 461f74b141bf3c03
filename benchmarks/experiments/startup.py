"""What it costs until the first photograph is fused, each step apart.

    python -m fusiongcn_edge.benchmarks.experiments.startup [--model NAME|PATH] [--runs N]

CPU seconds of fresh processes: importing the runtime (with the start of Python), opening the model, the first inference
on a 64x64 pair (beyond which a larger one only costs its pixels). Medians, and the range of the sum.
"""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np

from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.cli.options import add_model_argument, whole_number

STEPS = ("import", "open", "first inference")
SCRIPT = """
import sys
from time import process_time
times = [0.0]
from fusiongcn_edge.runtime import Fuser
times.append(process_time())
fuser = Fuser.open(sys.argv[1])
times.append(process_time())
import numpy as np
pair = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
begin = process_time()
fuser.fuse(*pair)
times.append(times[-1] + process_time() - begin)
print(*(after - before for before, after in zip(times, times[1:])))
"""


def main() -> int:
    """Run and print."""
    parser = new_parser("experiments.startup", __doc__)
    add_model_argument(parser)
    parser.add_argument("--runs", type=whole_number(1), default=7, metavar="N", help="processes (default: %(default)s)")
    arguments = parser.parse_args()

    def measure() -> None:
        runs = np.array([one_start(arguments.model) for _ in range(arguments.runs)])
        for step, seconds in zip(STEPS, np.median(runs, axis=0), strict=True):
            print(f"{step:<16} {seconds:.2f} s CPU")
        total = runs.sum(axis=1)
        print(f"{'together':<16} {np.median(total):.2f} s CPU ({total.min():.2f} to {total.max():.2f})")

    return exit_code(measure)


def one_start(model: str) -> list[float]:
    """CPU seconds of each step in a fresh process."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, model], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "The process was killed.").splitlines()[-1]
        raise FusionError(re.sub(r"^[\w.]+Error: ", "", last))
    return [float(seconds) for seconds in done.stdout.split()]


if __name__ == "__main__":
    sys.exit(main())
