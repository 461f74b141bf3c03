"""Focus fusion on the device: numpy, OpenCV and one inference engine; no torch.

>>> import numpy as np
>>> from fusiongcn_edge.runtime import FusionError, Fuser
>>> try:
...     Fuser.open("no-such-model")
... except FusionError as error:
...     print("No model" in str(error))
True
"""

from fusiongcn_edge.runtime.errors import BundleError, EngineError, FusionError, ImageError, OutputError
from fusiongcn_edge.runtime.fuser import Fuser, FusionResult
from fusiongcn_edge.runtime.fusion.stack import StackResult
from fusiongcn_edge.runtime.registration.frames import AlignedFrames, align_frames

__docformat__ = "numpy"
__all__ = [
    "AlignedFrames",
    "BundleError",
    "EngineError",
    "Fuser",
    "FusionError",
    "FusionResult",
    "ImageError",
    "OutputError",
    "StackResult",
    "align_frames",
]
