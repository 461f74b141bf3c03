"""``python -m fusiongcn_edge``."""

import sys

from fusiongcn_edge.cli import command

sys.exit(command())
