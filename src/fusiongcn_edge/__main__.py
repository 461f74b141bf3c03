"""``python -m fusiongcn_edge``."""

import sys

from fusiongcn_edge.cli import command

code = command()
# 'python -m' exits as if by Ctrl-C, whatever the code, where the last string of code that it ran was interrupted, and
# dataclasses are made from strings: so this is the last
exec("")
sys.exit(code)
