"""What a user can do wrong, each said in one sentence: what was found, what was expected, what to do."""


class FusionError(Exception):
    """A mistake that the user can mend. The command line prints its sentence alone and exits with code 2."""


class ImageError(FusionError):
    """A photograph that cannot be read, written or fused."""


class OutputError(FusionError):
    """A file that cannot be written."""


class BundleError(FusionError):
    """A model bundle that is missing, damaged or made for another version."""


class EngineError(FusionError):
    """An inference engine that is not installed or cannot run a graph."""
