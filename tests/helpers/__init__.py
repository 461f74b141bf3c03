"""What the tests of several packages use; no test imports another test."""

import pytest

# what fails in them is explained as in the tests themselves
pytest.register_assert_rewrite("helpers.processes", "helpers.refusals", "helpers.reports")
