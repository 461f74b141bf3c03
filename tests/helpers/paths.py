"""Where things lie."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the checkout
EXAMPLE = ROOT / "docs" / "example"
SHARED = Path(os.environ.get("FUSIONGCN_SHARED") or ROOT.parent / "shared")
