"""Training: the loss falls, interruptions change nothing, and what it leaves behind fuses."""

from __future__ import annotations

import csv
import math
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from fusiongcn_edge.cli import main
from fusiongcn_edge.export.pipeline import export_bundle
from fusiongcn_edge.model import training
from fusiongcn_edge.model.checkpoint import load_checkpoint
from fusiongcn_edge.model.cli import LOCK, _make_run_folder
from fusiongcn_edge.model.config import TrainConfig, TrainingError
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import make_scene
from fusiongcn_edge.model.run_log import LOG, SCORES
from fusiongcn_edge.model.training import Run
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.io.images import write_image
from fusiongcn_edge.runtime.io.locks import exclusive_lock
from helpers.common import contents
from helpers.processes import FUSIONGCN

TINY = TrainConfig(steps=12, batch=2, crop=48, warm_up=2, learning_rate=5e-3, bf16=False, cell_sizes=(10.0, 16.0))


def make_run(folder: Path, photo_folder: Path, config: TrainConfig = TINY) -> Run:
    folder.mkdir(exist_ok=True)
    return Run(config, folder, Photographs(photo_folder), Photographs(photo_folder), workers=0)


@pytest.mark.export
@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_the_weights_fuse(photo_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", photo_folder)
    losses = list(run.steps())
    assert len(losses) == TINY.steps
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    run.save()
    export_bundle(tmp_path / "run" / training.WEIGHTS, tmp_path / "bundle")
    fuser = Fuser.open(tmp_path / "bundle")
    assert fuser.bundle.superpixels.compactness == TINY.compactness
    scene = make_scene(Photographs(photo_folder), 64, seed=9, index=0)
    assert fuser.fuse(scene.a, scene.b).image.shape == scene.a.shape


@pytest.mark.slow
def test_a_resumed_run_repeats_the_next_losses_exactly(photo_folder: Path, tmp_path: Path) -> None:
    whole = list(islice(make_run(tmp_path / "whole", photo_folder).steps(), 6))
    begun = make_run(tmp_path / "run", photo_folder)
    first = list(islice(begun.steps(), 3))
    begun.save()
    resumed = make_run(tmp_path / "run", photo_folder)
    assert resumed.step == 3
    assert first + list(islice(resumed.steps(), 3)) == whole


@pytest.mark.slow
def test_a_run_that_is_not_saved_goes_on_from_the_last_saved_state(photo_folder: Path, tmp_path: Path) -> None:
    begun = make_run(tmp_path / "run", photo_folder)
    steps = begun.steps()
    list(islice(steps, 2))
    begun.save()
    lost = list(islice(steps, 2))
    resumed = make_run(tmp_path / "run", photo_folder)
    assert list(islice(resumed.steps(), 2)) == lost


@pytest.mark.slow
def test_a_run_may_begin_with_the_weights_of_another(photo_folder: Path, tmp_path: Path) -> None:
    earlier = make_run(tmp_path / "earlier", photo_folder)
    list(islice(earlier.steps(), 2))
    earlier.save()
    weights = str(tmp_path / "earlier" / training.WEIGHTS)
    config = replace(TINY, weights=weights)
    run = make_run(tmp_path / "run", photo_folder, config)
    for name, tensor in earlier.average.state_dict().items():
        torch.testing.assert_close(run.network.state_dict()[name], tensor, rtol=0, atol=0)
    list(islice(run.steps(), 1))
    run.save()
    Path(weights).unlink()  # not needed any more
    resumed = make_run(tmp_path / "run", photo_folder, config)
    assert resumed.step == 1
    resumed.save()
    origin = load_checkpoint(tmp_path / "run" / training.WEIGHTS)[1]["origin"]
    assert (origin["steps"], origin["started_from"]["steps"]) == (1, 2)


def test_the_command_refuses_weights_that_are_not_there(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    folder = str(photo_folder)
    command = ["train", "--photos", folder, "--held-out", folder, "-o", str(tmp_path / "run")]
    assert main([*command, "--weights", str(tmp_path / "nothing.pt")]) == 2
    assert "There is no checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_state_with_other_options_is_refused_by_name(photo_folder: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "run", photo_folder).save()
    with pytest.raises(TrainingError, match="another batch"):
        make_run(tmp_path / "run", photo_folder, replace(TINY, batch=3))


@pytest.mark.parametrize("option", ["--photos", "--held-out"])
def test_a_state_of_other_photographs_is_refused(option: str, photo_folder: Path, tmp_path: Path) -> None:
    folder, others = tmp_path / "run", tmp_path / "others"
    make_run(folder, photo_folder).save()
    shutil.copytree(photo_folder, others)
    given = dict.fromkeys(("--photos", "--held-out"), Photographs(photo_folder))
    same = Run(TINY, folder, *(given | {option: Photographs(others)}).values())  # wherever they lie
    assert same.given["photos"] == same.given["held-out"]
    (others / "photo-1.png").write_bytes((others / "photo-2.png").read_bytes())
    with pytest.raises(TrainingError, match=f"begun with another {option}: use"):
        Run(TINY, folder, *(given | {option: Photographs(others)}).values())


def test_what_a_model_states_of_its_photographs_stays_when_a_run_is_resumed(photo_folder: Path, tmp_path: Path) -> None:
    photographs, folder = Photographs(photo_folder), tmp_path / "run"
    folder.mkdir()
    Run(TINY, folder, photographs, photographs, photographs="ours", licence="CC0").save()
    with pytest.raises(TrainingError, match=r"another --photos-name \('ours'\), --licence \('CC0'\): use"):
        make_run(folder, photo_folder)
    assert Run(TINY, folder, photographs, photographs, photographs="ours", licence="CC0").licence == "CC0"
    (tmp_path / "unstated").mkdir()
    make_run(tmp_path / "unstated", photo_folder).save()
    later = Run(TINY, tmp_path / "unstated", photographs, photographs, photographs="ours", licence="CC0")
    assert (later.photographs, later.licence) == ("ours", "CC0")


def test_a_state_that_does_not_name_its_photographs_is_resumed(photo_folder: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "run", photo_folder).save()
    path = tmp_path / "run" / training.STATE
    state = torch.load(path, weights_only=True)
    torch.save({name: state[name] for name in set(state) - {"given", "loss_sum", "losses"}}, path)
    assert make_run(tmp_path / "run", photo_folder).losses == 0


def test_the_length_of_a_run_can_be_changed_when_it_is_resumed(photo_folder: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "run", photo_folder).save()
    assert make_run(tmp_path / "run", photo_folder, replace(TINY, steps=20)).config.steps == 20


def test_a_state_of_another_network_or_a_damaged_one_is_refused(photo_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", photo_folder)
    run.save()
    path = tmp_path / "run" / training.STATE
    state = torch.load(path, weights_only=True)
    state["recipe"]["network"] = "another"
    torch.save(state, path)
    with pytest.raises(TrainingError) as refused:
        make_run(tmp_path / "run", photo_folder)
    assert (refused.value.found, refused.value.allowed) == ("'another'", "'fusiongcn'")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged"):
        make_run(tmp_path / "run", photo_folder)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_saved_state(photo_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", photo_folder)
    steps = run.steps()
    next(steps)
    run.save()
    saved = (tmp_path / "run" / training.STATE).read_bytes()
    with torch.no_grad():
        run.network.out[0].weight.fill_(math.nan)
    with pytest.raises(TrainingError, match="at step 1"):
        next(steps)
    assert (tmp_path / "run" / training.STATE).read_bytes() == saved


@pytest.mark.slow
def test_the_command_trains_logs_and_resumes(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)  # it would start this process again
    monkeypatch.setattr(Run.validate, "__defaults__", (2, 64))
    folder = str(photo_folder)
    command = ["train", "--photos", folder, "--held-out", folder, "-o", str(tmp_path / "run"), "--workers", "0"]
    command += ["--batch", "1", "--crop", "48"]
    assert main([*command, "--steps", "2"]) == 0
    assert main([*command, "--steps", "3"]) == 0
    out, err = capsys.readouterr()
    assert "step 3 of 3" in out
    assert "warning: 3 of 3 photographs held out can be trained on too" in err
    with open(tmp_path / "run" / LOG, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "3"]
    assert all(float(row["held_out_psnr_soft"]) > 0 for row in rows)
    load_checkpoint(tmp_path / "run" / training.WEIGHTS)


def test_the_command_refuses_an_empty_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["train", "--photos", str(empty), "--held-out", str(empty), "-o", str(tmp_path / "run")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.process
@pytest.mark.slow
def test_what_a_worker_cannot_read_is_told_in_its_own_sentence(photo_folder: Path, tmp_path: Path) -> None:
    images, segments, run = tmp_path / "images", tmp_path / "segments", tmp_path / "run"
    shutil.copytree(photo_folder, images)
    segments.mkdir()
    for photograph in images.iterdir():
        write_image(segments / f"{photograph.stem}_0.png", np.zeros((120, 160, 3), np.uint8))
    command = [*FUSIONGCN, "train", "--photos", images, "--held-out", photo_folder, "-o", run, "--workers", "1"]
    # not in this process: where something was trained before, a forked worker waits for threads that it lacks
    done = subprocess.run([*command, "--batch", "1", "--crop", "48"], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert re.search(r"photo-\d_0.png is no segmentation: .* Mend or remove it.$", done.stderr)


def test_fewer_steps_than_were_done_are_refused(photo_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", photo_folder)
    run.step = 7
    run.save()
    with pytest.raises(TrainingError) as refused:
        make_run(tmp_path / "run", photo_folder, replace(TINY, steps=5))
    assert (refused.value.found, refused.value.allowed) == (f"step 7 of {TINY.steps}", "at most 5")


def test_a_run_stays_out_of_a_folder_with_other_things(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    (tmp_path / "holiday.txt").write_text("precious")
    folder = str(photo_folder)
    assert main(["train", "--photos", folder, "--held-out", folder, "-o", str(tmp_path)]) == 2
    assert "holds other files (holiday.txt)" in capsys.readouterr().err


def test_what_a_killed_run_left_before_its_first_state_is_no_other_thing(tmp_path: Path) -> None:
    (tmp_path / f".{training.STATE}.0a1b2c3d.part").write_text("half")
    assert not _make_run_folder(tmp_path, training.STATE)
    (tmp_path / training.WEIGHTS).write_text("a model")
    with pytest.raises(TrainingError, match=r"holds other files \(weights\.pt\)"):
        _make_run_folder(tmp_path, training.STATE)


def test_a_model_without_its_state_is_not_written_over(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    make_run(tmp_path, photo_folder).save()
    (tmp_path / training.STATE).unlink()
    before = (tmp_path / training.WEIGHTS).read_bytes()
    folder = str(photo_folder)
    assert main(["train", "--photos", folder, "--held-out", folder, "-o", str(tmp_path)]) == 2
    assert "holds other files (weights.pt), and no run to go on with" in capsys.readouterr().err
    assert (tmp_path / training.WEIGHTS).read_bytes() == before


@pytest.mark.process
@pytest.mark.slow
def test_two_commands_do_not_train_in_one_folder(photo_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [*FUSIONGCN, "train", "--photos", photo_folder, "--held-out", photo_folder, "-o", run, "--workers", "0"]
    run.mkdir()
    with exclusive_lock(run / LOCK, ""):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{run} is being trained in by another process" in done.stderr
    assert contents(run) == {}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_run_that_is_asked_to_stop_finishes_its_step_and_saves(
    how: signal.Signals, photo_folder: Path, tmp_path: Path
) -> None:
    usual = signal.signal(how, signal.default_int_handler)
    run = make_run(tmp_path / "run", photo_folder)
    steps = run.steps

    def asked_after_two() -> Iterator[float]:
        for count, loss in enumerate(steps(), 1):
            if count == 2:
                signal.raise_signal(how)
            yield loss

    run.steps = asked_after_two  # type: ignore[method-assign]
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        training.run(run, report=lines.append)
    assert lines[-1].startswith("saved step 2")
    assert make_run(tmp_path / "run", photo_folder).step == 2
    assert signal.signal(how, usual) is signal.default_int_handler


@pytest.mark.slow
def test_the_log_counts_every_loss_once(photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "validate", lambda self: dict.fromkeys(SCORES, 0.5))
    seen: list[float] = []
    steps = Run.steps

    def counted(run: Run, stop_after: int = -1) -> Iterator[float]:
        for loss in steps(run):
            seen.append(loss)
            if len(seen) == stop_after:
                signal.raise_signal(signal.SIGTERM)
            yield loss

    def logged() -> list[tuple[int, float]]:
        with open(tmp_path / "run" / LOG, newline="") as file:
            return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]

    monkeypatch.setattr(Run, "steps", lambda run: counted(run, stop_after=2))
    with pytest.raises(KeyboardInterrupt):
        training.run(make_run(tmp_path / "run", photo_folder, replace(TINY, steps=4)))
    assert not (tmp_path / "run" / LOG).exists()
    monkeypatch.setattr(Run, "steps", counted)
    for _ in range(2):  # once more when it is finished
        training.run(make_run(tmp_path / "run", photo_folder, replace(TINY, steps=4)))
        assert logged() == [(4, pytest.approx(np.mean(seen), abs=1e-5))]
    training.run(make_run(tmp_path / "run", photo_folder, replace(TINY, steps=6)))
    assert logged()[1:] == [(6, pytest.approx(np.mean(seen[4:]), abs=1e-5))]


@pytest.mark.process
@pytest.mark.slow
def test_a_run_that_was_started_to_go_on_does_not_hear_the_end_of_its_session(
    photo_folder: Path, tmp_path: Path
) -> None:
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup has it
    run = make_run(tmp_path / "run", photo_folder)
    steps = run.steps

    def hung_up_after_two() -> Iterator[float]:
        for count, loss in enumerate(steps(), 1):
            if count == 2:
                signal.raise_signal(signal.SIGHUP)
            yield loss

    run.steps = hung_up_after_two  # type: ignore[method-assign]
    training.run(run)
    assert run.step == run.config.steps > 2
    assert signal.signal(signal.SIGHUP, usual) is signal.SIG_IGN


def test_the_guide_is_the_mean_luminance_of_both_photographs() -> None:
    network = training.FusionGCN()
    training.set_luminance_guide(network)
    images = torch.rand(1, 6, 9, 9)
    weights = torch.tensor([0.299, 0.587, 0.114])
    luminance = (images.reshape(2, 3, 9, 9) * weights[:, None, None]).sum(1).mean(0)
    torch.testing.assert_close(network.mix(images)[0, 0], luminance)


@pytest.mark.parametrize(
    ("error", "kind"),
    [("DataLoader worker (pid(s) 7) exited unexpectedly", TrainingError), ("a mistake of ours", RuntimeError)],
)
def test_a_worker_that_was_ended_is_told_and_no_fault_is(error: str, kind: type[Exception]) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise RuntimeError(error)

    made = training._told(broken())
    assert next(made) == 1
    with pytest.raises(kind, match=r"give fewer --workers|a mistake of ours"):
        next(made)
