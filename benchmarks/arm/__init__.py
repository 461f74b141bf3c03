"""ARM without a board: a Debian userland for it under user-mode emulation, and what is checked and counted there."""
