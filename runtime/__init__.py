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

__all__ = ["BundleError", "EngineError", "Fuser", "FusionError", "FusionResult", "ImageError", "OutputError"]
