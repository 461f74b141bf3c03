"""Jobs in processes of their own, and what becomes of those that fail."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.system.worker_pool import _serve, run_in_workers
from helpers.jobs import init
from helpers.processes import linux, of_session

pytestmark = pytest.mark.process


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("kind", "error"),
    [("dying", "was killed"), ("raising", "Job 1 is impossible."), ("faulty", "fault of fusiongcn, please report")],
)
def test_a_job_that_fails_takes_no_other_with_it(kind: str, error: str, count: int) -> None:
    outcomes = sorted(run_in_workers(partial(init, kind), range(4), count), key=lambda outcome: outcome.job)
    assert [outcome.result for outcome in outcomes] == [0, None, 20, 30]
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, True]
    assert error in str(outcomes[1].error)


def test_who_wants_no_more_outcomes_ends_the_workers(tmp_path: Path) -> None:
    outcomes = run_in_workers(partial(init, str(tmp_path)), [0, 1], 2)
    assert next(outcomes).job == 0
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    outcomes.close()
    assert sorted(path.name.split()[0] for path in tmp_path.iterdir()) == ["begun", "ended"]
    assert multiprocessing.active_children() == []


@linux
def test_a_killed_parent_leaves_no_workers(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from functools import partial\nfrom helpers.jobs import init\n"
        "from fusiongcn_edge.runtime.system.worker_pool import run_in_workers\n"
        "list(run_in_workers(partial(init, sys.argv[1]), [1, 1], 2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True)
    while len(list(tmp_path.iterdir())) < 2:
        assert parent.poll() is None
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    for _ in range(3000):
        if not list(of_session(parent.pid)):
            break
        time.sleep(0.01)
    assert list(of_session(parent.pid)) == []


@linux
def test_a_worker_that_dies_between_two_jobs_takes_only_the_next_one_with_it() -> None:
    results = []
    for outcome in run_in_workers(partial(init, "fine"), [0, 1, 2], 1):
        results.append(outcome.result)
        if outcome.job == 0:
            (worker,) = multiprocessing.active_children()
            worker.kill()
            worker.join()
    assert results == [0, None, 20]


def test_a_result_that_nobody_wants_any_more_is_no_fault() -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, partial(init, "fine")))
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
        list(run_in_workers(partial(init, kind), range(4), 2))
