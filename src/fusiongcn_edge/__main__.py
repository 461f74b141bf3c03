"""``python -m fusiongcn_edge``."""

import sys

from fusiongcn_edge.cli import main

sys.exit(main())
