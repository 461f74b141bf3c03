"""The program ``fusiongcn``: the table of commands, each imported only when it is called."""

from __future__ import annotations

import argparse
import difflib
import faulthandler
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from fusiongcn_edge import __version__

# what politely asks a process to stop; Windows has no SIGHUP
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

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
    "metrics": ("fusiongcn_edge.benchmarks.cli.metrics", "measure how good one fused photograph is", None),
    "evaluate": ("fusiongcn_edge.benchmarks.cli.evaluate", "compare models and other methods on pairs", None),
    "cost": (
        "fusiongcn_edge.benchmarks.cli.cost",
        "count what fusing a pair costs, from a model's graphs",
        "calibration",
    ),
    "benchmark": ("fusiongcn_edge.benchmarks.cli.benchmark", "measure time, memory and energy on this device", None),
    "report": ("fusiongcn_edge.benchmarks.cli.report", "make a page or tables of what was measured", None),
    "train": ("fusiongcn_edge.model.cli", "train a network on scenes made from photographs", "export"),
    "scenes": ("fusiongcn_edge.model.cli", "show the scenes that training makes from photographs", None),
}


class Parser(argparse.ArgumentParser):
    """Report a mistake in one sentence, instead of after all the options that there are."""

    def error(self, message: str) -> NoReturn:
        """Print it, and exit with code 2."""
        self.exit(2, f"fusiongcn: {message.rstrip('.')}; see '{self.prog} --help'.\n")


def command() -> int:
    """Run :func:`main` as the whole program."""
    with suppress(OSError):  # closed by whoever started this
        # A crash of native code prints the Python stack; a copy, for commands redirect descriptor 2.
        faulthandler.enable(os.dup(2))
    code = main()
    for number in STOP_SIGNALS:  # while the interpreter shuts down, one more would only spoil the exit code
        signal.signal(number, signal.SIG_IGN)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Returns
    -------
    int
        0 when done, 2 after a mistake of the user's (one sentence on standard error), 128 + n if signal n asked the
        command to stop; 1 and what else a command documents.
    """
    _prepare_streams()
    stopped: list[int] = []
    try:
        with _stoppable(stopped):
            code = _run(list(sys.argv[1:] if arguments is None else arguments))
            sys.stdout.flush()
        return 128 + stopped[0] if stopped and code == 128 + signal.SIGINT else code
    except KeyboardInterrupt as stop:
        return _interrupted(stop, stopped)
    except BrokenPipeError:  # whoever read the output has seen enough; of some commands, this ends the work, too
        _discard_output()
        return 128 + getattr(signal, "SIGPIPE", 13)
    except Exception as error:
        if stopped:  # libraries make other errors of an interruption, numpy an ImportError while it is imported
            return _interrupted(error, stopped)
        sentence = _user_message(error)
        if sentence is None:
            raise
        print(f"fusiongcn: {sentence}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # what could not be printed would be tried again at the end
            _discard_output()
        return 2


def _prepare_streams() -> None:
    """Give closed standard streams somewhere to write to, and let names of files that are no text be printed."""
    if sys.stdout is None or sys.stderr is None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        while nowhere < 2:  # no file that is opened later gets the number of a standard stream
            nowhere = os.dup(nowhere)
        sink = open(nowhere, "w")  # noqa: SIM115  for as long as the process lives
        sys.stdout, sys.stderr = sys.stdout or sink, sys.stderr or sink
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _stoppable(stopped: list[int]) -> Iterator[None]:
    """Raise a KeyboardInterrupt with the number of the signal that asks the process to stop, so that what is half
    written is removed, and note the number in ``stopped``.

    Signals that come later are ignored, for they would cut that short: a closed terminal and ``timeout`` send theirs
    to the process and once more to its group.
    """

    def stop(number: int, _: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        stopped.append(number)
        raise KeyboardInterrupt(number)

    usual = (signal.SIG_DFL, signal.default_int_handler)  # who ignores a signal, as under nohup, goes on doing so
    heard = STOP_SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in heard if signal.getsignal(number) in usual}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(stop: BaseException, stopped: list[int]) -> int:
    """Report an interruption, with the remark of a ``runtime.errors.Interrupted``; the exit code."""
    print(f"fusiongcn: interrupted; {getattr(stop, 'remark', 'no unfinished file was left')}.", file=sys.stderr)
    return 128 + (stopped or [*stop.args, signal.SIGINT])[0]


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name not in COMMANDS:
        _overview(name)
    module_name, summary, extra = COMMANDS[name]
    module = importlib.import_module(module_name)
    parser = Parser(prog=f"fusiongcn {name}", description=f"{summary[0].upper()}{summary[1:]}.")
    getattr(module, f"add_{name}_arguments")(parser)
    parsed = parser.parse_args(arguments[1:])
    from fusiongcn_edge.runtime.cli.process import native_messages_suppressed

    try:
        with native_messages_suppressed():
            return int(getattr(module, f"run_{name}")(parsed))
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith("fusiongcn_edge"):
            raise
        from fusiongcn_edge.runtime.text import install_hint

        tflite = f" (to export to TFLite: {install_hint('export-tflite')})" if name == "export" else ""
        print(
            f"fusiongcn: 'fusiongcn {name}' needs {error.name}, which is not installed: {install_hint(extra)}{tflite}.",
            file=sys.stderr,
        )
        return 2


def _overview(asked: str) -> NoReturn:
    """Print the version or the list of commands, or refuse what is neither an option nor a command."""
    parser = Parser(
        prog="fusiongcn",
        description="Fuse photographs focused at different depths into one that is sharp everywhere.",
        epilog="'fusiongcn COMMAND --help' tells about a command. One with [EXTRA] needs libraries of its own: "
        "pip install '.[EXTRA]' in the checkout.",
    )
    parser.add_argument("--version", action="version", version=f"fusiongcn-edge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (_, summary, extra) in COMMANDS.items():
        commands.add_parser(name, help=summary + (f" [{extra}]" if extra else ""))
    if not asked.startswith("-"):
        near = difflib.get_close_matches(asked, COMMANDS, n=1)
        parser.error(f"there is no command {asked!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    parser.parse_args([asked])  # --help and --version end here
    parser.error("a command comes first")


def _user_message(error: Exception) -> str | None:
    try:
        importlib.import_module("fusiongcn_edge.runtime")  # its errors may be there although the rest could not be
        from fusiongcn_edge.runtime.errors import user_message
    except (ImportError, OSError) as missing:
        told = next((line.strip() for line in str(missing).splitlines() if line.strip()), type(missing).__name__)
        return (
            f"numpy and OpenCV are needed and cannot be loaded ({told.rstrip('.:')}): allow more memory, or install "
            "them with 'pip install numpy opencv-python-headless'."
        )
    return user_message(error)
