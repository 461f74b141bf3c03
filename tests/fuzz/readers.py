"""All readers that are fuzzed, by name."""

from __future__ import annotations

from fuzz import arrays, bundles, checkpoints, command_lines, costs, folders, photographs, results

MODULES = (photographs, bundles, checkpoints, folders, results, costs, arrays, command_lines)
READERS = {reader.name: reader for module in MODULES for reader in module.READERS}
