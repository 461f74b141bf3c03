"""Python in processes of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a few lines in an interpreter of their own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
