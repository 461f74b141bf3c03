"""Jobs in processes of their own, and what becomes of those that fail."""

from __future__ import annotations

from functools import partial
from multiprocessing import get_context

import pytest

from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.system.worker_pool import _serve, run_in_workers
from helpers.jobs import begin


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("kind", "error"),
    [("dying", "was killed"), ("raising", "Job 1 is impossible."), ("faulty", "fault of fusiongcn, please report")],
)
def test_a_job_that_fails_takes_no_other_with_it(kind: str, error: str, count: int) -> None:
    outcomes = sorted(run_in_workers(partial(begin, kind), range(4), count), key=lambda outcome: outcome.job)
    assert [outcome.result for outcome in outcomes] == [0, None, 20, 30]
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, True]
    assert error in str(outcomes[1].error)


def test_a_result_that_nobody_wants_any_more_is_no_fault() -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, partial(begin, "fine")))
    process.start()
    theirs.close()
    ours.send(1)
    assert ours.poll(60)
    ours.close()  # with the result unread
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize(("kind", "sentence"), [("refusing", r"^It is not to be\.$"), ("poor", r"^Memory ran out: ")])
def test_what_no_worker_can_begin_with_is_refused(kind: str, sentence: str) -> None:
    with pytest.raises(FusionError, match=sentence):
        list(run_in_workers(partial(begin, kind), range(4), 2))
