"""Hypothesis profiles: ``ci`` tries as many examples as each test asks for, ``dev`` at most 50.

``CI=true`` or ``HYPOTHESIS_PROFILE=ci`` choose the first. The examples are the same in every run.
"""

from __future__ import annotations

import os

import hypothesis

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
DEV_EXAMPLES = 50

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("dev", hypothesis.settings.get_profile("ci"), max_examples=DEV_EXAMPLES)
hypothesis.settings.load_profile(PROFILE)


def examples(number: int) -> int:
    """How many examples a test tries that wants so many."""
    return number if PROFILE == "ci" else min(number, DEV_EXAMPLES)
