"""What a user can do wrong, each said in one sentence: what was found, what was expected, what to do."""

from __future__ import annotations

OPENCV_NO_MEMORY = -4  # cv2.Error.StsNoMem, without OpenCV
LONGEST = 1000  # characters of a sentence; names of files and values in them can be as long as they like


class FusionError(Exception):
    """A mistake of the user, or of a file of theirs, that they can mend.

    Attributes
    ----------
    problem : str
        What failed.
    found : object
        What was observed; None where ``problem`` says it.
    allowed : object
        What would have been accepted; None where ``fix`` says it.
    fix : str
        What to do; empty where ``problem`` says it.
    """

    def __init__(self, problem: str = "", *, found: object = None, allowed: object = None, fix: str = "") -> None:
        self.problem, self.found, self.allowed, self.fix = problem, found, allowed, fix
        super().__init__(sentence(problem, found, allowed, fix))


def sentence(problem: str, found: object = None, allowed: object = None, fix: str = "") -> str:
    """Render an error as one line: ``problem (found, expected allowed): fix.``

    Line ends and control characters, which come with names of files and values of a manifest, are escaped; what is
    longer than ``LONGEST`` characters is cut in the middle.
    """
    observed = [] if found is None else [str(found)]
    observed += [] if allowed is None else [f"expected {allowed}"]
    text = (
        problem.rstrip(".")
        + (f" ({', '.join(observed)})" if observed else "")
        + (f": {fix.rstrip('.')}" if fix else "")
    )
    text = printable(f"{text}." if text else "")
    half = LONGEST // 2 - 2  # " … " is between
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def printable(text: str) -> str:
    """A text with what a terminal would not show, or obey, as Python writes it: ``\\n``, ``\\x1b``, ``\\udcff``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ImageError(FusionError):
    """A photograph that cannot be read, written or fused."""


class ImageTooLargeError(ImageError):
    """A photograph that does not fit into the memory that is free."""


class DamagedImageError(ImageError):
    """A file that is no image, or one that is damaged."""


class OutputError(FusionError):
    """A file that cannot be written."""


class BundleError(FusionError):
    """A model bundle that is missing, damaged or made for another version."""


class EngineError(FusionError):
    """An inference engine that is not installed or cannot run a graph."""


class Interrupted(KeyboardInterrupt):
    """A KeyboardInterrupt that says what was done until then.

    Parameters
    ----------
    stop : KeyboardInterrupt
        The one that it stands for; ``args`` are its: the number of the signal, or nothing for Ctrl-C.
    remark : str
        Half a sentence for the user, without a full stop.
    """

    def __init__(self, stop: KeyboardInterrupt, remark: str) -> None:
        super().__init__(*stop.args)
        self.remark = remark


def too_little_memory(needed: int, smaller: str = "") -> FusionError:
    """Make the error for ``--max-memory`` that does not suffice.

    A little more than is ``needed``, in bytes, is named, and a ``smaller`` model, if there is one.
    """
    return FusionError(
        f"Photographs of this size need about {1.05 * needed / 1e6:.0f} MB",
        fix="allow more (--max-memory), or use smaller ones" + (f" or the model {smaller}" if smaller else ""),
    )


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error says, numpy's or OpenCV's."""
    if type(error).__module__ == "cv2":
        return getattr(error, "code", None) == OPENCV_NO_MEMORY or "bad_alloc" in str(error)
    return isinstance(error, MemoryError)


def user_message(error: BaseException) -> str | None:
    """The sentence for what went wrong, if it is something that the user can mend; None if it is a fault of ours."""
    if isinstance(error, FusionError):
        return str(error)
    if ran_out_of_memory(error):
        return "Memory ran out: use smaller photographs or close other programs."
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return sentence(f"{where}{error.strerror}", fix="check the files, the folders and the free space")
    return None
