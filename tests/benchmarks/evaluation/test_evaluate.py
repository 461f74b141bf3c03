"""Methods side by side: baselines, programs of others, paired tests, tables, JSON and pictures."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.evaluation import baselines, summary
from fusiongcn_edge.benchmarks.evaluation.baselines import METHODS, guided_filter, guided_fusion, laplacian_fusion
from fusiongcn_edge.benchmarks.evaluation.figures import nearer
from fusiongcn_edge.benchmarks.evaluation.summary import INTERRUPTED
from fusiongcn_edge.benchmarks.evaluation.wilcoxon import compare, signed_rank
from fusiongcn_edge.benchmarks.metrics.scorer import METRICS, FusionScorer
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import FusionError, ImageError
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pixels import psnr

Picture = NDArray[Any]
Run = Callable[..., str]


def install(folder: Path, name: str, lines: str) -> None:
    """A program on PATH that runs these lines of Python, with ``arguments`` and cv2 at hand."""
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nimport sys, cv2\narguments = sys.argv[1:]\n{lines}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


COPIES_FIRST = "cv2.imwrite('fused.tif', cv2.imread('a.tif', cv2.IMREAD_UNCHANGED))"


# baselines


@pytest.mark.parametrize("fuse", [laplacian_fusion, guided_fusion])
def test_a_baseline_beats_either_photograph(
    fuse: baselines.Fuse, photographs: tuple[Picture, Picture], truth: Picture
) -> None:
    fused = fuse(*photographs)
    assert fused.dtype == np.uint8
    assert psnr(fused, truth) > max(psnr(photograph, truth) for photograph in photographs) + 3


@pytest.mark.parametrize("fuse", [laplacian_fusion, guided_fusion])
@pytest.mark.parametrize("change", ["gray", "wide", "alpha", "tiny"])
def test_a_baseline_takes_any_kind_of_photograph(
    fuse: baselines.Fuse, change: str, photographs: tuple[Picture, Picture]
) -> None:
    changes: dict[str, Callable[[Picture], Picture]] = {
        "gray": lambda image: image[:, :, 0],
        "wide": lambda image: image.astype(np.uint16) * 257,
        "alpha": lambda image: np.insert(image, 3, 200, axis=2),
        "tiny": lambda image: image[:3, :5],
    }
    first, second = (changes[change](image) for image in photographs)
    fused = fuse(first, second)
    assert (fused.shape, fused.dtype) == (first.shape, first.dtype)
    np.testing.assert_allclose(fuse(first, first).astype(int), first, atol=1)  # a photograph fused with itself


@pytest.mark.parametrize("name", METHODS)
def test_photographs_that_do_not_match_are_refused(name: str) -> None:
    with pytest.raises(ImageError, match="differ in size"):
        METHODS[name](np.zeros((20, 20), np.uint8), np.zeros((20, 21), np.uint8))


def test_the_guided_filter_keeps_the_guides_edges() -> None:
    guide = np.zeros((40, 40))
    guide[:, 20:] = 1
    noisy = guide + np.random.default_rng(1).normal(0, 0.2, guide.shape)
    filtered = guided_filter(guide, noisy, 7, 1e-6)
    assert filtered[:, :20].std() < 0.05
    assert filtered[:, 20:].mean() - filtered[:, :20].mean() > 0.9
    np.testing.assert_allclose(guided_filter(guide, np.full_like(guide, 0.3), 7, 1e-6), 0.3)


# programs of others


def test_an_absent_program_is_told(folder: Path, photographs: tuple[Picture, Picture]) -> None:
    assert baselines.absent_peers() == ["enfuse", "focus-stack"]
    with pytest.raises(FusionError, match="enfuse is not on PATH"):
        METHODS["enfuse"](*photographs)


def test_a_program_is_run_as_its_users_would(folder: Path, photographs: tuple[Picture, Picture]) -> None:
    note = folder / "arguments.txt"
    for name in ("enfuse", "focus-stack"):
        install(folder, name, f"open({str(note)!r}, 'w').write(' '.join(arguments))\n{COPIES_FIRST}")
        np.testing.assert_array_equal(METHODS[name](*photographs), photographs[0])
        assert note.read_text().endswith("--output=fused.tif a.tif b.tif")
    assert baselines.absent_peers() == []


def test_a_programs_alpha_is_left_out(folder: Path, photographs: tuple[Picture, Picture]) -> None:
    install(folder, "enfuse", "cv2.imwrite('fused.tif', cv2.cvtColor(cv2.imread('b.tif'), cv2.COLOR_BGR2BGRA))")
    np.testing.assert_array_equal(METHODS["enfuse"](*photographs), photographs[1])
    gray = [image[:, :, 0] for image in photographs]
    np.testing.assert_array_equal(METHODS["enfuse"](*gray), gray[1])


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("sys.exit('enfuse: out of luck')", "enfuse: out of luck"),
        ("pass", "it said nothing"),
        ("cv2.imwrite('fused.tif', cv2.imread('a.tif')[1:])", "128x95 pixels of uint8"),
        ("open('fused.tif', 'w').write('no')", None),
    ],
)
def test_a_program_that_fails_says_why(
    lines: str, found: str | None, folder: Path, photographs: tuple[Picture, Picture]
) -> None:
    install(folder, "enfuse", lines)
    with pytest.raises(FusionError) as failed:
        METHODS["enfuse"](*photographs)
    assert failed.value.found == found


def test_a_program_that_hangs_is_ended(
    folder: Path, photographs: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(folder, "enfuse", "import time; time.sleep(60)")
    monkeypatch.setattr(baselines, "PATIENCE", 0.2)
    with pytest.raises(FusionError) as ended:
        METHODS["enfuse"](*photographs)
    assert ended.value.allowed == "a result within 0.2 seconds"


# paired tests


def test_the_signed_rank_test_counts_every_choice_of_signs() -> None:
    rng = np.random.default_rng(2)
    for size in (1, 2, 5, 9):
        differences = np.round(rng.normal(0.4, 1, size), 1)  # rounded: some are tied or 0
        found = differences[differences != 0]
        ranks = np.array([(np.abs(found) < x).sum() + ((np.abs(found) == x).sum() + 1) / 2 for x in np.abs(found)])
        sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product((0, 1), repeat=len(ranks))]
        own = ranks[found > 0].sum()
        tail = min(np.mean([s <= own for s in sums]), np.mean([s >= own for s in sums]))
        assert signed_rank(differences) == pytest.approx(min(1, 2 * tail))


def test_known_chances() -> None:
    assert signed_rank([1, 2, 3, 4, 5]) == pytest.approx(2 / 2**5)
    assert signed_rank([-1, -2, -3, 4]) == pytest.approx(2 * 7 / 16)  # sums of at most 4 of 1, 2, 3, 4
    assert signed_rank([0, 0]) == 1
    assert signed_rank(np.arange(1, 101)) == pytest.approx(2.0**-99)


def test_lower_can_be_better() -> None:
    comparison = compare([1.0, 2.0, 3.0], [2.0, 2.0, 4.0], lower_is_better=True)
    assert (comparison.images, comparison.better, comparison.worse) == (3, 2, 0)
    assert comparison.difference == pytest.approx(-2 / 3)
    assert comparison.p == pytest.approx(0.5)


# the command


def test_tables_hold_the_means_of_what_the_judge_says(evaluated: Run, photographs: tuple[Picture, Picture]) -> None:
    printed = evaluated("--pairs", "data", "--method", "guided,laplacian", "--json", "all.json")
    facts = json.loads(Path("all.json").read_text())
    (group,) = facts["groups"]
    assert (facts["reference"], facts["interrupted"]) == ("guided", False)
    assert [score["pair"] for score in group["scores"]] == [f"set-{i}" for i in (1, 1, 2, 2, 3, 3)]
    expected = FusionScorer(*photographs).values(laplacian_fusion(*photographs))
    assert group["scores"][1]["values"] == expected
    for metric in METRICS:
        values = [s["values"][metric] for s in group["scores"] if s["method"] == "laplacian"]
        mean = group["methods"]["laplacian"]["means"][metric]
        assert mean == pytest.approx(np.mean(values))
        row = next(line for line in printed.splitlines() if line.startswith(f"{metric} "))
        assert row.split()[-1] == f"{mean:.4f}"
        others = [s["values"][metric] for s in group["scores"] if s["method"] == "guided"]
        comparison = group["methods"]["laplacian"]["against_reference"][metric]
        gains = np.subtract(values, others) * (-1 if metric == "Q_CV" else 1)
        assert comparison["better"] == (gains > 0).sum()
        assert comparison["p"] == pytest.approx(signed_rank(gains))
    assert group["methods"]["guided"]["against_reference"] == {}


@pytest.mark.parametrize("where", [["--truth", "data"], ["--pairs", "data", "--truth", "data/set/truth"]])
def test_with_a_truth_there_are_more_metrics(where: list[str], evaluated: Run) -> None:
    printed = json.loads(evaluated(*where, "--method", "laplacian", "--json", "-"))
    (group,) = printed["groups"]
    assert group["title"] == "truth"
    assert {"PSNR", "SSIM", "PSNR_boundary"} < set(group["scores"][0]["values"])


def test_pairs_and_truth_are_two_tables_unless_they_are_the_same(evaluated: Run) -> None:
    other = Path("other")
    Path("data").rename(other)
    (other / "set").rename(other / "first")
    for name in "ab":
        (Path("plain") / name).mkdir(parents=True)
        write_image(f"plain/{name}/x.png", read_image(f"other/first/{name}/1.png"))
    printed = evaluated("--pairs", "plain", "--truth", "other", "--method", "laplacian")
    assert "pairs: 1 pair of plain" in printed
    assert "truth: 3 pairs of other" in printed
    assert evaluated("--pairs", "other", "--truth", "other", "--method", "laplacian").count("pairs of") == 1


def test_the_pairs_with_the_lowest_scores_are_named(evaluated: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Lowest" not in evaluated("--truth", "data", "--method", "laplacian")  # all of them are in the JSON
    monkeypatch.setattr(summary, "WORST", 2)
    printed = evaluated("--truth", "data", "--method", "laplacian,guided", "--json", "all.json")
    scores = json.loads(Path("all.json").read_text())["groups"][0]["scores"]
    own = sorted((s["values"]["PSNR"], s["pair"]) for s in scores if s["method"] == "laplacian")
    told = ", ".join(f"{pair} {value:.4f}" for value, pair in own[:2])
    assert f"Lowest PSNR of laplacian: {told}" in printed.splitlines()


def test_everything_is_compared_when_nothing_is_named(evaluated: Run) -> None:
    for name in "ab":
        for number in "13":
            Path(f"data/set/{name}/{number}.png").unlink()
    printed = evaluated("--pairs", "data")
    assert printed.splitlines()[1].split() == ["fusiongcn-lite", "laplacian", "guided"]
    assert "Absent: enfuse is not on PATH" in printed
    assert "Absent: focus-stack is not on PATH" in printed


def test_the_truth_of_a_pair_is_the_one_of_its_name(evaluated: Run) -> None:
    for name in ("1.old", "[1]"):
        write_image(f"data/set/truth/{name}.png", np.zeros((96, 128, 3), np.uint8))
    options = ("--pairs", "data", "--truth", "data/set/truth", "--method", "laplacian", "--json", "-")
    (group,) = json.loads(evaluated(*options))["groups"]
    assert group["pairs"][0]["truth"] == "data/set/truth/1.png"


def test_a_method_that_was_named_and_is_absent_is_a_failure(evaluated: Run) -> None:
    assert "Absent: enfuse is not on PATH" in evaluated("--pairs", "data", "--method", "laplacian,enfuse", code=1)


def test_failures_are_in_the_table_and_stop_nothing(evaluated: Run, folder: Path) -> None:
    Path("data/set/b/2.png").write_text("no photograph")
    write_image("data/set/b/3.png", np.zeros((48, 127, 3), np.uint8))
    install(folder, "enfuse", "sys.exit('enfuse: out of luck')")
    printed = evaluated("--pairs", "data", "--method", "enfuse,laplacian", "--json", "all.json", code=1)
    assert "Failed: enfuse on set-1. enfuse ended with code 1 and no image (enfuse: out of luck)" in printed
    assert "Failed: all methods on set-2. data/set/b/2.png is no image" in printed
    assert "Failed: all methods on set-3. The second photograph has another size" in printed
    counts = next(line for line in printed.splitlines() if line.startswith("fused"))
    assert " ".join(counts.split()) == "fused 0 of 3 1 of 3"
    scores = json.loads(Path("all.json").read_text())["groups"][0]["scores"]
    assert [score["error"] is None for score in scores] == [False, True, False, False, False, False]


def test_an_interruption_keeps_the_pairs_that_all_methods_have_fused(
    evaluated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def until_the_second_pair(name: str, fuse: baselines.Fuse) -> baselines.Fuse:
        def fused(a: Picture, b: Picture) -> Picture:
            calls.append(name)
            if calls == stop:
                raise KeyboardInterrupt(2)
            return fuse(a, b)

        return fused

    for name in ("laplacian", "guided"):
        monkeypatch.setitem(METHODS, name, until_the_second_pair(name, METHODS[name]))
    options = ("--pairs", "data", "--method", "laplacian,guided", "--json", "all.json")
    stop = ["laplacian", "guided"]
    evaluated(*options, code=130)
    assert not Path("all.json").exists()  # there was nothing to keep
    calls.clear()
    stop = ["laplacian", "guided"] * 2
    printed = evaluated(*options, "--pictures", "sheets", code=130)
    counts = next(line for line in printed.splitlines() if line.startswith("fused"))
    assert " ".join(counts.split()) == "fused 1 of 3 1 of 3"
    assert printed.splitlines()[-1] == INTERRUPTED
    facts = json.loads(Path("all.json").read_text())
    assert facts["interrupted"] is True
    assert [score["pair"] for score in facts["groups"][0]["scores"]] == ["set-1", "set-1"]
    assert [path.name for path in Path("sheets").iterdir()] == ["pairs-set-1.jpg"]
    for name in ("page.html", "tables.md"):
        assert main(["report", "all.json", "-o", name]) == 0
        assert INTERRUPTED in Path(name).read_text()


@pytest.mark.usefixtures("folder")
def test_a_photograph_without_its_partner_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    Path("data/set/b/3.png").unlink()
    assert main(["evaluate", "--pairs", "data", "--method", "laplacian"]) == 0
    assert capfd.readouterr().err == "left out: data/set/a/3.png has no partner of that name on the other side\n"


def test_a_pair_without_its_truth_fails_alone(evaluated: Run) -> None:
    Path("data/set/truth/1.png").unlink()
    printed = evaluated("--truth", "data", "--method", "laplacian", code=1)
    assert "Failed: all methods on set-1. There is no file data/set/truth/1.png" in printed
    assert "2 of 3" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a folder of pairs with --pairs or --truth"),
        (["--pairs", "none"], "No pairs below none"),
        (["--pairs", "data/set/a"], "No pairs below data/set/a"),
        (["--pairs", "data", "--truth", "none"], "There is no image in none"),
        (["--pairs", "data", "--model", "none-such", "--method", "laplacian"], "No model 'none-such'"),
        (["--pairs", "data", "--method", "enfuse"], "enfuse is not on PATH"),
        (["--pairs", "data", "--maps-only"], "name their folder with --pictures"),
        (["--pairs", "data", "--method", "laplacian", "--blend", "hard"], "name one with --model"),
        (["--pairs", "data", "--method", "laplacian", "--json", "no/such.json"], "does not exist: create it first"),
        (["--pairs", "data", "--method", "laplacian", "--pictures", "data/set/a/1.png"], "1.png cannot be made"),
        (
            ["--pairs", "tiny", "--method", "laplacian"],
            "Nothing could be evaluated, tiny-1 for one: The images are too small",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_one_sentence(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        (Path("tiny") / name).mkdir(parents=True)
        write_image(f"tiny/{name}/1.png", np.zeros((9, 9), np.uint8))
    assert main(["evaluate", *arguments]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_an_unknown_method_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--pairs", ".", "--method", "laplacian,magic"])
    assert "'magic' is no method: choose among laplacian, guided" in capfd.readouterr().err


def test_a_decision_is_read_off_a_fused_image(photographs: tuple[Picture, Picture], truth: Picture) -> None:
    decision = nearer(truth, *photographs)
    assert decision[:, :60].mean() > 0.99
    assert decision[:, 68:].mean() < 0.01
