"""The command ``fusiongcn``: joins the rooms' commands, each imported only when it is called."""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, NoReturn

from fusiongcn_edge import __version__
from fusiongcn_edge.guard import ONCE, guarded

# command -> (module, what it does in one line, extra that its libraries come with or None)
COMMANDS = {
    "fuse": ("fusiongcn_edge.runtime.cli.fuse", "fuse two photographs into one that is sharp everywhere", None),
    "stack": ("fusiongcn_edge.runtime.cli.stack", "fuse any number of photographs into one", None),
    "batch": ("fusiongcn_edge.runtime.cli.batch", "fuse folders of stacks or pairs, resumably", None),
    "capture": ("fusiongcn_edge.runtime.cli.capture", "photograph with a Raspberry Pi's camera, and fuse", None),
    "info": ("fusiongcn_edge.runtime.cli.info", "show engines, shipped models and the facts of a model", None),
    "export": ("fusiongcn_edge.export.cli", "turn a checkpoint into a bundle for an engine", "export"),
    "quantize": (
        "fusiongcn_edge.calibration.cli",
        "put a model's weights into 8 bits, if it loses little",
        "calibration",
    ),
    "metrics": ("fusiongcn_edge.benchmarks.cli.evaluate", "measure how good one fused photograph is", None),
    "evaluate": ("fusiongcn_edge.benchmarks.cli.evaluate", "compare models and other methods on pairs", None),
    "cost": (
        "fusiongcn_edge.benchmarks.cli.cost",
        "count what fusing a pair costs, from a model's graphs",
        "calibration",
    ),
    "benchmark": ("fusiongcn_edge.benchmarks.cli.cost", "measure time, memory and energy on this device", None),
    "report": ("fusiongcn_edge.benchmarks.cli.report", "make a page or tables of what was measured", None),
    "train": ("fusiongcn_edge.model.cli", "train a network on scenes made from photographs", "export"),
    "scenes": ("fusiongcn_edge.model.cli", "show the scenes that training makes from photographs", None),
}


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one sentence, instead of after all the options that there are."""

    def error(self, message: str) -> NoReturn:
        """Say it, and exit with code 2."""
        self.exit(2, f"fusiongcn: {message.rstrip('.')}; see '{self.prog} --help'.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when done, 2 for a mistake of the user's (told in one sentence on standard error), 128 and the
    number of the signal if one asked it to stop."""
    stopped: list[int] = []
    if sys.stdout is None or sys.stderr is None:  # closed by who started this
        nowhere = open(os.devnull, "w")  # noqa: SIM115  for as long as the process lives
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):  # a name of a file may hold bytes that are no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _stoppable(stopped):
            code = _run(list(sys.argv[1:] if arguments is None else arguments))
            sys.stdout.flush()
        return 128 + stopped[0] if stopped and code == 128 + signal.SIGINT else code
    except KeyboardInterrupt as error:
        return _interrupted(*(error.args or (signal.SIGINT,)))
    except BrokenPipeError:  # whoever read the output has seen enough; of some commands, this ends the work, too
        _say_nothing_more()
        return 128 + getattr(signal, "SIGPIPE", 13)
    except Exception as error:
        if stopped:  # libraries make other errors of an interruption, numpy an ImportError while it is imported
            return _interrupted(stopped[0])
        sentence = _mendable(error)
        if sentence is None:
            raise
        print(f"fusiongcn: {sentence}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # what could not be printed would be tried again at the end
            _say_nothing_more()
        return 2


def command() -> int:
    """What the program ``fusiongcn`` is: :func:`main`, guarded against crashes of what it computes with."""
    return guarded(main)


@contextmanager
def _stoppable(stopped: list[int]) -> Iterator[None]:
    """Whatever politely asks the process to stop is a KeyboardInterrupt with the signal's number, so that what is half
    written is removed; the number is noted in ``stopped``, too."""

    since = 0.0

    def stop(number: int, _: Any) -> None:
        nonlocal since
        if stopped and monotonic() - since < ONCE:
            return
        since = monotonic()
        stopped.append(number)
        raise KeyboardInterrupt(number)

    names = ("SIGINT", "SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has no SIGHUP
    usual = (signal.SIG_DFL, signal.default_int_handler)  # who ignores a signal goes on doing so
    before = {number: signal.signal(number, stop) for number in numbers if signal.getsignal(number) in usual}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(number: int, remark: str = "no unfinished file was left") -> int:
    print(f"fusiongcn: interrupted; {remark}.", file=sys.stderr)
    # 'python -m' ends as if by Ctrl-C, whatever the exit code, where the last code that it ran from a string was
    # interrupted, and dataclasses are made from strings: so this is the last
    exec("")
    return 128 + number


def _say_nothing_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    parser = Parser(
        prog="fusiongcn",
        description="Fuse photographs focused at different depths into one that is sharp everywhere.",
        epilog="'fusiongcn COMMAND --help' tells about a command. One with [EXTRA] needs libraries of its own: "
        "pip install '.[EXTRA]' in the checkout.",
    )
    parser.add_argument("--version", action="version", version=f"fusiongcn-edge {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((a for a in arguments if not a.startswith("-")), None)
    if called is not None and called not in COMMANDS:
        near = difflib.get_close_matches(called, COMMANDS, n=1)
        parser.error(f"there is no command {called!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    explains: Parser = parser
    for name, (module_name, summary, extra) in COMMANDS.items():
        needs = f" [{extra}]" if extra else ""
        command = commands.add_parser(name, help=summary + needs, description=summary[0].upper() + summary[1:] + ".")
        if name == called:
            module = importlib.import_module(module_name)
            getattr(module, f"add_{name}_arguments")(command)
            command.set_defaults(run=getattr(module, f"run_{name}"))
            explains = command
    parsed, left_over = parser.parse_known_args(arguments or ["--help"])
    if left_over:
        too_many = "" if left_over[0].startswith("-") else getattr(parsed, "too_many", "")
        explains.error(f"{' '.join(left_over)} is not understood" + (f": {too_many}" if too_many else ""))
    from fusiongcn_edge.runtime.cli.process import native_messages_suppressed

    try:
        with native_messages_suppressed():
            return int(parsed.run(parsed))
    except ModuleNotFoundError as error:
        extra = COMMANDS[parsed.command][2]
        if extra is None or (error.name or "").startswith("fusiongcn_edge"):
            raise
        from fusiongcn_edge.runtime.text import install_hint

        tflite = f" (to export to TFLite: {install_hint('export-tflite')})" if parsed.command == "export" else ""
        print(
            f"fusiongcn: 'fusiongcn {parsed.command}' needs {error.name}, which is not installed: "
            f"{install_hint(extra)}{tflite}.",
            file=sys.stderr,
        )
        return 2


def _mendable(error: Exception) -> str | None:
    try:
        from fusiongcn_edge.runtime.errors import user_message
    except (ImportError, OSError) as missing:  # the runtime cannot be imported at all
        told = next((line.strip() for line in str(missing).splitlines() if line.strip()), type(missing).__name__)
        return (
            f"numpy and OpenCV are needed and cannot be loaded ({told.rstrip('.:')}): allow more memory, or install "
            "them with 'pip install numpy opencv-python-headless'."
        )
    return user_message(error)
