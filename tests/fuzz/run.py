"""Fuzz a reader: ``python tests/fuzz/run.py READER --minutes 30``; without a reader, their names.

Inputs are changed as coverage of this project's Python code tells (atheris). What a reader may not do is stored once
under findings/, with the input and what happened: a traceback, a refusal that is no clear sentence, a crash, a hang
(more than --seconds for one input) or too much memory. Corpus and findings are kept in --work, outside the repository.
``--try FILE`` runs a reader on one input.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import mmap
import os
import random
import re
import resource
import struct
import subprocess
import sys
from pathlib import Path
from time import monotonic

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)
WORK = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fusiongcn-edge" / "fuzz"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", nargs="?")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seconds", type=int, default=20, help="for one input, at most (default: 20)")
    parser.add_argument("--megabytes", type=int, default=2500, help="that may be held, at most (default: 2500)")
    parser.add_argument("--work", type=Path, default=WORK, help="corpus and findings (default: %(default)s)")
    parser.add_argument("--try", dest="tried", type=Path, metavar="FILE")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        _fuzz(arguments, arguments.child)
        return 0
    from fuzz.readers import READERS

    if arguments.reader not in READERS:
        print(*READERS, sep="\n")
        return 2 if arguments.reader else 0
    reader = READERS[arguments.reader]
    if arguments.tried:
        resource.setrlimit(resource.RLIMIT_AS, (2 * arguments.megabytes << 20,) * 2)
        found = reader.finding(arguments.tried.read_bytes())
        print(found.text if found else "nothing found")
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10 > arguments.megabytes:
            print("more memory than it may take (oom)")
        return 1 if found else 0
    return _supervise(arguments)


def _supervise(arguments: argparse.Namespace) -> int:
    """Start the fuzzer again whenever an input has ended it, until the time is up."""
    work = arguments.work / arguments.reader
    for folder in ("corpus", "findings", "ended"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "counts").touch()
    if (work / "counts").stat().st_size < 16:
        (work / "counts").write_bytes(bytes(16))
    start, ended = monotonic(), 0
    while (left := arguments.minutes * 60 - (monotonic() - start)) > 5:
        command = [sys.executable, __file__, arguments.reader, "--work", str(arguments.work), "--child", str(left)]
        command += ["--seconds", str(arguments.seconds), "--megabytes", str(arguments.megabytes)]
        with open(work / "log", "w") as log:
            code = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL).returncode
        if code == 0:
            break
        ended += 1
        if _again(arguments, work):
            _keep_log(work, code)
        if monotonic() - start < 15 and ended > 2:
            print(f"The fuzzer does not start: see {work / 'log'}.", file=sys.stderr)
            return 1
    executions, seconds = _counted(work, monotonic() - start)
    found = sorted(path.stem for path in (work / "findings").glob("*.txt"))
    print(
        f"{arguments.reader}: {executions:,} executions in {seconds / 60:.1f} minutes, ended {ended} times in this run"
    )
    print(*found, sep="\n")
    return 1 if found else 0


def _counted(work: Path, more: float) -> tuple[int, float]:
    """Executions and seconds of all runs so far."""
    with open(work / "counts", "r+b") as file:
        executions, seconds = struct.unpack("<Qd", file.read(16))
        file.seek(8)
        file.write(struct.pack("<d", seconds + more))
    return executions, seconds + more


def _again(arguments: argparse.Namespace, work: Path) -> bool:
    """Whether the input that was read last ends the process once more, and was no victim of a busy machine."""
    last = (work / "last").read_bytes()
    (work / "tried").write_bytes(last[8 : 8 + struct.unpack_from("<Q", last)[0]])
    command = [sys.executable, __file__, arguments.reader, "--try", str(work / "tried")]
    command += ["--megabytes", str(arguments.megabytes)]
    try:
        told = subprocess.run(command, capture_output=True, timeout=3 * arguments.seconds)
    except subprocess.TimeoutExpired:
        return True
    return told.returncode not in (0, 1) or b"oom" in told.stdout


def _keep_log(work: Path, code: int) -> None:
    """Of an input that ended the process: what libFuzzer says, once for each place."""
    log = (work / "log").read_text("utf-8", "replace")
    stack = re.findall(r"^\s*#\d+ 0x[0-9a-f]+ +(?:in )?(.*)$", log, re.M)
    what = next((line for line in log.splitlines() if "ERROR:" in line or "Error" in line), f"exit {code}")
    what = re.sub(r"0x[0-9a-f]+|==\d+==|pc|\d{3,}", "", what)[:80]
    title = re.sub(r"[^A-Za-z0-9]+", "-", f"ended {what} {stack[0][-40:] if stack else ''}")[:100].strip("-")
    kept = work / "findings" / f"{title}.txt"
    if not kept.exists():
        kept.write_text(log[-20_000:])
        last = (work / "last").read_bytes()
        kept.with_suffix(".input").write_bytes(last[8 : 8 + struct.unpack_from("<Q", last)[0]])


def _fuzz(arguments: argparse.Namespace, seconds: float) -> None:
    """In a process of its own: libFuzzer, which does not return."""
    import atheris

    with atheris.instrument_imports(include=["fusiongcn_edge"], enable_loader_override=False):
        from fuzz.readers import READERS

        reader = READERS[arguments.reader]
        for module in reader.modules:
            importlib.import_module(f"fusiongcn_edge.{module}")
    work = arguments.work / reader.name
    known: set[str] = {path.stem for path in (work / "findings").glob("*.txt")}
    seeds = list(reader.seeds())
    for seed in seeds:
        path = work / "corpus" / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}"
        if not path.exists():
            path.write_bytes(seed)
    with open(work / "counts", "r+b") as file:
        counts = mmap.mmap(file.fileno(), 16)
    with open(work / "last", "w+b") as file:  # what was read when the process ends in whatever way
        file.truncate(8 + reader.longest)
        last = mmap.mmap(file.fileno(), 8 + reader.longest)

    def once(data: bytes) -> None:
        struct.pack_into("<Q", counts, 0, struct.unpack_from("<Q", counts)[0] + 1)
        data = data[: reader.longest]
        struct.pack_into("<Q", last, 0, len(data))
        last[8 : 8 + len(data)] = data
        found = reader.finding(data)
        if found is None:
            return
        title = re.sub(r"[^A-Za-z0-9]+", "-", found.title)[:120].strip("-")
        if title not in known:
            known.add(title)
            (work / "findings" / f"{title}.txt").write_text(found.text, "utf-8", "backslashreplace")
            (work / "findings" / f"{title}.input").write_bytes(data)

    def change(data: bytes, most: int, seed: int) -> bytes:
        struct.pack_into("<Q", last, 0, 0)  # if this takes too long, no reader is to blame
        rng = random.Random(seed)
        data = rng.choice(seeds) if rng.random() < 0.3 else bytes(data)
        changed = atheris.Mutate(data, most) if rng.random() < 0.3 else reader.change(data, rng)
        return changed[:most]

    resource.setrlimit(resource.RLIMIT_AS, (2 * arguments.megabytes << 20,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["OMP_NUM_THREADS"] = "1"
    options = [
        f"-max_total_time={int(seconds)}", f"-timeout={arguments.seconds}", f"-rss_limit_mb={arguments.megabytes}",
        f"-max_len={reader.longest}", f"-artifact_prefix={work / 'ended'}/", "-print_final_stats=1", "-close_fd_mask=3",
        "-len_control=0", "-reload=0", "-reduce_inputs=0",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(work / "corpus")], once, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
