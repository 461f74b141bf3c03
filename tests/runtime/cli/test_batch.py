"""Batches: folders of stacks and pairs, again and again, and whatever goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.batch.discovery import find_items, record_path
from fusiongcn_edge.runtime.batch.records import write_result
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pairs import find_pairs
from helpers.common import contents
from helpers.paths import EXAMPLE

Picture = NDArray[Any]


@pytest.fixture
def folder(tmp_path: Path, photographs: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with ``in``: a stack, a pair, a photograph without its partner, a damaged stack."""
    monkeypatch.chdir(tmp_path)
    first, second = photographs
    for name, picture in (
        ("day/stack/1.png", first),
        ("day/stack/2.png", second),
        ("day/stack/3.png", first[::-1].copy()),
        ("a/x.png", first),
        ("b/x.png", second),
        ("b/lonely.png", second),
        ("broken/1.png", first),
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, picture)
    (tmp_path / "in" / "broken" / "2.png").write_bytes(b"broken")
    (tmp_path / "in" / "day" / "notes.txt").write_text("no photograph")
    return tmp_path


def batch(*options: str) -> int:
    return main(["batch", "in", "-o", "out", "--threads", "1", *options])


def events(printed: str) -> dict[str, tuple[str, str | None]]:
    """State and error of each item, of what --json-progress printed."""
    found = [json.loads(line) for line in printed.splitlines()]
    assert found[0] == {"event": "start", "items": 4}
    assert found[-1]["event"] == "end"
    assert [event["finished"] for event in found[1:-1]] == [1, 2, 3, 4]
    return {event["name"]: (event["state"], event["error"]) for event in found[1:-1]}


def states(printed: str) -> dict[str, str]:
    return {name: state for name, (state, _) in events(printed).items()}


def test_a_batch_fuses_what_it_can_and_tells_what_it_cannot(
    folder: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    assert batch("--workers", "2") == 1
    fuser = Fuser.open(threads=1)
    np.testing.assert_array_equal(read_image("out/x.png"), fuser.fuse(*photographs).image)
    stack = [read_image(f"in/day/stack/{number}.png") for number in (1, 2, 3)]
    np.testing.assert_array_equal(read_image("out/day/stack.png"), fuser.fuse_stack(stack).image)
    printed = capfd.readouterr()
    lonely, *fused, closing = printed.out.splitlines()  # in the order in which they end
    broken, done, pair = sorted(fused)
    assert "failed" in broken
    assert "in/broken/2.png is no image" in broken
    assert done.split()[:2] == ["day/stack", "done"]
    assert "in/b/lonely.png has no partner" in lonely
    assert pair.split()[:2] == ["x", "done"]
    assert closing.startswith("2 fused, 0 kept, 2 failed, ")
    assert printed.err == ""
    found = sorted(path.name for path in (folder / "out").rglob("*"))
    assert found == [".stack.png.json", ".x.png.json", "day", "stack.png", "x.png"]


def test_started_again_it_makes_only_what_is_missing_or_would_be_different(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def again(*options: str) -> dict[str, str]:
        capfd.readouterr()
        batch("--json-progress", *options)
        return {name: state for name, state in states(capfd.readouterr().out).items() if state != "failed"}

    assert again() == {"day/stack": "done", "x": "done"}
    assert again() == {"day/stack": "kept", "x": "kept"}
    assert again("--workers", "2") == {"day/stack": "kept", "x": "kept"}  # decides no pixel
    Path("out/x.png").unlink()
    assert again() == {"day/stack": "kept", "x": "done"}
    Path("out/day/stack.png").write_bytes(Path("out/day/stack.png").read_bytes()[:-9])
    assert again() == {"day/stack": "done", "x": "kept"}
    write_image("in/a/x.png", 255 - read_image("in/a/x.png"))
    assert again() == {"day/stack": "kept", "x": "done"}
    assert again("--match-exposure") == {"day/stack": "done", "x": "done"}
    assert again() == {"day/stack": "done", "x": "done"}


def test_what_no_batch_made_or_somebody_changed_is_not_written_over(
    folder: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "x.png").write_text("mine")
    assert batch("--json-progress") == 1
    assert "out/x.png is there, and no batch made it: move it away" in str(events(capfd.readouterr().out)["x"][1])
    assert Path("out/x.png").read_text() == "mine"
    Path("out/x.png").unlink()
    batch()
    retouched = 255 - read_image("out/x.png")
    write_image("out/x.png", retouched)
    capfd.readouterr()
    batch("--json-progress", "--match-exposure")
    found = events(capfd.readouterr().out)
    assert "out/x.png was changed since it was made: move it away" in str(found["x"][1])
    assert found["day/stack"] == ("done", None)
    np.testing.assert_array_equal(read_image("out/x.png"), retouched)


@pytest.mark.usefixtures("folder")
def test_a_folder_with_photographs_takes_no_results(capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path("in/day/stack").iterdir())
    assert main(["batch", "in", "-o", "in/day/stack"]) == 2
    assert "in/day/stack holds photographs" in capfd.readouterr().err
    assert sorted(Path("in/day/stack").iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_a_result_that_cannot_be_written_fails_alone(capfd: pytest.CaptureFixture[str]) -> None:
    Path("out/x.png").mkdir(parents=True)
    assert batch("--json-progress") == 1
    found = events(capfd.readouterr().out)
    assert "out/x.png is a folder" in str(found["x"][1])
    assert found["day/stack"][0] == "done"


@pytest.mark.usefixtures("folder")
def test_what_appears_while_it_runs_is_not_written_over(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/x.png").write_text("mine")
    monkeypatch.setattr("fusiongcn_edge.runtime.cli.batch.conflict", lambda output: None)  # as if it were not there yet
    assert batch("--json-progress") == 1
    assert "out/x.png is there, and no batch made it: move it away" in str(events(capfd.readouterr().out)["x"][1])
    assert Path("out/x.png").read_text() == "mine"


@pytest.mark.process
@pytest.mark.usefixtures("folder")
def test_killed_between_a_note_and_its_result_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    batch()
    replace, output = os.replace, Path("out/x.png")

    def killed(source: Path, target: Path) -> None:
        if target.name == output.name:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_result(output, b"another result", "another fingerprint", [])
    assert json.loads(record_path(output).read_text())["made_from"] == "another fingerprint"
    capfd.readouterr()
    batch("--json-progress")
    assert states(capfd.readouterr().out) == {"broken": "failed", "day/stack": "kept", "lonely": "failed", "x": "done"}


def test_a_stray_photograph_and_what_is_no_stack_stop_nothing(
    folder: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("all/stray.png", "all/one/1.png", "all/lone/a/1.png", "all/lone/a/2.png", "all/two/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, photographs[0])
    write_image(folder / "all/two/2.png", photographs[1])
    assert main(["batch", "all", "-o", "out", "--threads", "1"]) == 1
    lone, one, stray, two, closing = capfd.readouterr().out.splitlines()
    assert "all/lone/a has no folder beside it with its partners" in lone
    assert "all/one/1.png is alone in its folder, and a stack has at least 2" in one
    assert "all/stray.png belongs to no stack" in stray
    assert two.split()[:2] == ["two", "done"]
    assert closing.startswith("1 fused, 0 kept, 3 failed, ")


def test_a_photograph_that_is_left_out_is_told(
    folder: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    scene = read_image(EXAMPLE / "near.jpg")
    noise = np.random.default_rng(0).integers(0, 256, scene.shape).astype(np.uint8)
    (folder / "odd" / "one").mkdir(parents=True)
    for name, picture in (("1", scene), ("2", read_image(EXAMPLE / "far.jpg")), ("3", noise)):
        write_image(folder / "odd" / "one" / f"{name}.png", picture)
    options = ["--align", "similarity", "--skip-failed", "--threads", "1"]
    assert main(["batch", "odd", "-o", "out", *options]) == 0
    assert "warning: odd/one/3.png is left out, because it cannot be aligned." in capfd.readouterr().out.splitlines()[0]


@pytest.mark.usefixtures("folder")
def test_it_goes_well_where_all_goes_well(capfd: pytest.CaptureFixture[str]) -> None:
    for path in ("in/b/lonely.png", "in/broken/2.png", "in/broken/1.png"):
        Path(path).unlink()
    assert batch("--format", "jpg") == 0
    assert read_image("out/x.jpg").shape == (96, 128, 3)
    assert capfd.readouterr().out.splitlines()[-1].startswith("2 fused, 0 kept, 0 failed, ")


def test_links_to_folders_are_followed_but_not_in_a_circle(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    shutil.move("in/day/stack", "elsewhere/stack")
    Path("in/day/linked").symlink_to(folder / "elsewhere" / "stack")
    Path("in/day/circle").symlink_to(folder / "in")
    (folder / "elsewhere" / "stack" / "back").symlink_to(folder / "in" / "day")
    found = {item.name for item in find_items(folder / "in", folder / "out")}
    assert {name for name in found if name.startswith("day")} == {"day/linked"}


@pytest.mark.usefixtures("folder")
def test_results_below_the_photographs_are_no_photographs(capfd: pytest.CaptureFixture[str]) -> None:
    options = ["batch", "in", "-o", "in/out", "--threads", "1", "--json-progress"]
    main(options)
    capfd.readouterr()
    main(options)
    assert states(capfd.readouterr().out)["x"] == "kept"


@pytest.mark.usefixtures("folder")
def test_results_of_an_earlier_batch_are_no_photographs_wherever_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    for output in ("in/out", "in/other", "out"):
        main(["batch", "in", "-o", output, "--threads", "1", "--json-progress"])
        assert sorted(states(capfd.readouterr().out)) == ["broken", "day/stack", "lonely", "x"]


def test_what_is_odd_about_photographs_is_told_beside_them(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scene = read_image(EXAMPLE / "near.jpg")[:150, :200]
    for name, picture in (("a", scene), ("b", np.roll(scene, 9, axis=1))):
        (folder / "moved" / "one").mkdir(parents=True, exist_ok=True)
        write_image(folder / "moved" / "one" / f"{name}.png", picture)
    assert main(["batch", "moved", "-o", "out", "--threads", "1", "--jpeg-quality", "9"]) == 0
    printed = capfd.readouterr()
    assert "appear misregistered by about" in printed.out.splitlines()[0]
    assert printed.err == "fusiongcn: warning: --jpeg-quality changes nothing, for no .jpg file is written.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "-o", "out"], "no folder none"),
        (["empty", "-o", "out"], "nothing to fuse in empty"),
        (["in", "-o", "in"], "give another folder"),
        (["in/day/stack", "-o", "out"], "belongs to no stack"),
        (["same", "-o", "out"], "Two results would be called x"),
        (["in", "-o", "out", "--model", "none"], "No model 'none'"),
        (["in", "-o", "out", "--threads", "9999"], "9999 threads"),
        (["in", "-o", "in/a/x.png"], "cannot be made"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    arguments: list[str], message: str, folder: Path, photographs: tuple[Picture, Picture],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("same/a/x.png", "same/b/x.png", "same/x/1.png"):
        (folder / name).parent.mkdir(parents=True)
        write_image(folder / name, photographs[0])
    (folder / "empty").mkdir()
    before = contents(folder)
    assert main(["batch", *arguments]) == 2
    printed = capfd.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert contents(folder) == before


def test_what_a_killed_process_left_disturbs_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    left = ["out/.x.png.abc.part", "out/..x.png.json.abc.part", "in/day/stack/.4.png.abc.part"]
    for name in left:
        (folder / name).write_text("half")
    batch("--json-progress")
    assert states(capfd.readouterr().out) == {
        "broken": "failed", "day/stack": "done", "lonely": "failed", "x": "done",
    }  # fmt: skip
    assert [(folder / name).read_text() for name in left] == ["half"] * 3


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_killed_it_leaves_nothing_half_written_and_goes_on_later(
    how: signal.Signals, folder: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        for side, picture in zip("ab", photographs, strict=True):
            write_image(folder / "in" / side / f"{number:02}.png", picture)
    command = [sys.executable, "-m", "fusiongcn_edge", "batch", "in", "-o", "out", "--json-progress", "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while '"state": "done"' not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(how)
    told = process.communicate(timeout=60)[1]  # ends with its workers
    assert "Traceback" not in told
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[how]
    if how != signal.SIGKILL:
        assert not list((folder / "out").rglob("*.part"))
    made = [path for path in (folder / "out").rglob("*.png") if not path.name.startswith(".")]
    for path in made:
        assert read_image(path).shape == (96, 128, 3)
    capfd.readouterr()
    batch("--json-progress")
    printed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert sum(event.get("state") == "kept" for event in printed) >= 1
    assert len(list((folder / "out").rglob("*.png"))) == 14
    if how != signal.SIGKILL:
        assert not list((folder / "out").rglob("*.part"))


# what there is to fuse


def test_items_are_found_in_order_and_what_is_hidden_is_not(folder: Path) -> None:
    (folder / "in" / ".trash").mkdir()
    (folder / "in" / ".trash" / "1.png").write_bytes(b"")
    items = find_items(Path("in"), Path("out"))
    assert [(item.name, item.pair, len(item.sources)) for item in items] == [
        ("broken", False, 2), ("day/stack", False, 3), ("lonely", True, 1), ("x", True, 2),
    ]  # fmt: skip


def test_two_photographs_of_one_name_are_told(folder: Path) -> None:
    for side in "ab":
        (folder / "in" / side / "x.jpg").write_bytes(b"beside its PNG")
        (folder / "in" / side / "Thumbs.db").write_bytes(b"no photograph")
    problems = {item.name: item.error or "" for item in find_items(folder / "in", folder / "out")}
    assert problems["x"].endswith("in/a/x.jpg and x.png have the same name: keep one of them there.")
    assert "Thumbs" not in problems
    with pytest.raises(FusionError, match=r"x\.jpg and x\.png have the same name"):
        list(find_pairs(folder / "in"))


def test_a_folder_that_cannot_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if Path(path).name == "broken":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(FusionError, match=r"broken cannot be read \(Permission denied\)"):
        find_items(folder / "in", folder / "out")


def test_options_that_change_nothing_do_not_make_it_begin_again(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert batch() == 1
    capfd.readouterr()
    assert batch("--jpeg-quality", "90", "--no-crop", "--skip-failed", "--json-progress") == 1
    printed = capfd.readouterr()
    assert [state for state in states(printed.out).values() if state == "done"] == []
    for option in ("jpeg-quality", "no-crop", "skip-failed"):
        assert f"--{option} changes nothing" in printed.err


def test_names_are_shown_and_not_obeyed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "in" / "b" / "lonely.png").rename(folder / "in" / "b" / "\x1b[31mred.png")
    assert batch() == 1
    assert "\x1b" not in "".join(capfd.readouterr())


def test_the_truth_beside_pairs_is_no_stack(photographs: tuple[Picture, Picture], tmp_path: Path) -> None:
    for part, image in zip(("a", "b", "truth"), (*photographs, photographs[0]), strict=True):
        (tmp_path / "in" / part).mkdir(parents=True)
        for name in "xy":
            write_image(tmp_path / "in" / part / f"{name}.png", image)
    assert [item.name for item in find_items(tmp_path / "in", tmp_path / "out")] == ["x", "y"]
