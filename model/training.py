"""Train a network on synthetic scenes; can be interrupted at any moment and goes on where it was.

Every scene, superpixel and initial weight follows from the seed and the step alone, so a resumed run repeats exactly
what the uninterrupted one would have done.
"""

from __future__ import annotations

import copy
import io
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from fusiongcn_edge.model.checkpoint import NETWORKS, load_network, save_checkpoint
from fusiongcn_edge.model.config import TrainConfig, TrainingError, check_config, learning_rate_factor
from fusiongcn_edge.model.data.dataset import Sample, Scenes, settings_of, to_sample
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import Scene, make_scene
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.model.losses import loss_of
from fusiongcn_edge.model.run_log import LOG, Log
from fusiongcn_edge.model.stopping import StopRequest
from fusiongcn_edge.model.validation import classify, score
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.files import write_files
from fusiongcn_edge.runtime.types import OnStage

STATE = "state.pt"
WEIGHTS = "weights.pt"
HELD_OUT_SEED = 2025  # of the validation scenes, the same in every run
SHOW_EVERY = 2.0  # seconds
TEXTS = {"photos-name": "", "licence": "not stated"}  # options that the weights state; where they were left out


class Run:
    """A training run in a folder: ``state.pt`` to go on from, ``weights.pt`` to export, ``log.csv`` to plot.

    ``network``: what is trained in place of the config's network, and called like it; its weights are not exported.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        train: Photographs,
        held_out: Photographs,
        *,
        workers: int = 0,
        photographs: str = "",
        licence: str = "not stated",
        network: type[nn.Module] | None = None,
    ) -> None:
        check_config(config)
        if config.network not in NETWORKS:
            raise TrainingError(
                "There is no such network", found=repr(config.network), allowed=f"one of {', '.join(NETWORKS)}"
            )
        self.config, self.folder, self.train, self.held_out, self.workers = config, folder, train, held_out, workers
        self.photographs = photographs or f"{len(train)} photographs from {train.folder.name}"
        self.licence = licence
        self.given = {"photos": train.fingerprint(), "held-out": held_out.fingerprint()}
        self.given |= dict(zip(TEXTS, (photographs, licence), strict=True))
        torch.manual_seed(config.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = (network or NETWORKS[config.network])()
        self.origin: dict[str, Any] = {}
        if config.weights and not (folder / STATE).exists():
            self._begin_with(config.weights)
        if isinstance(self.network, FusionGCN):
            set_luminance_guide(self.network)
        self.network.to(self.device)
        if not isinstance(self.network, FusionGCN):
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        decayed = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=config.learning_rate,
        )
        self.step = 0
        self.seconds = 0.0
        self.loss_sum, self.losses = 0.0, 0  # of the steps since the last row of the log
        self.settings = settings_of(self.network, config.superpixels())
        if (folder / STATE).exists():
            self._resume()
        self.validation: list[tuple[Scene, Sample]] | None = None

    def _begin_with(self, path: str) -> None:
        network, facts = load_network(path)
        if type(network) is not type(self.network):
            raise TrainingError(f"{path} holds another network than {self.config.network!r}", fix="give other weights")
        self.network.load_state_dict(network.state_dict())
        self.origin = {"started_from": facts.get("origin", {})}

    def _resume(self) -> None:
        path = self.folder / STATE
        damaged = TrainingError(
            f"{path} is damaged", fix="start anew in another folder, with --weights from this one, say"
        )
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            saved = {**state["recipe"], "cell_sizes": tuple(state["recipe"]["cell_sizes"])}
            network, step, seconds = saved["network"], int(state["step"]), float(state["seconds"])
            origin, weights = dict(state["origin"]), {key: state[key] for key in ("model", "average", "optimizer")}
            given = dict(state.get("given", {}))  # older states have none of it, nor losses
            loss_sum, losses = float(state.get("loss_sum", 0)), int(state.get("losses", 0))
            if step < 0 or losses < 0 or not math.isfinite(seconds) or not math.isfinite(loss_sum):
                raise ValueError(step, losses, seconds, loss_sum)
        except Exception:  # whatever a damaged file makes torch raise
            raise damaged from None
        if network != self.config.network:
            raise TrainingError(
                f"{path} is a run of another network",
                found=repr(network),
                allowed=repr(self.config.network),
                fix="give another folder",
            )
        self._check_options(path, saved, given)
        if step > self.config.steps:
            raise TrainingError(
                f"{path} is past the last step asked for",
                found=f"step {step} of {saved.get('steps')}",
                allowed=f"at most {self.config.steps}",
                fix="give at least as many --steps",
            )
        try:
            self.network.load_state_dict(weights["model"])
            self.average.load_state_dict(weights["average"])
            self.optimizer.load_state_dict(weights["optimizer"])
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):  # they do not fit
            raise damaged from None
        self.step, self.seconds, self.origin = step, seconds, origin
        self.loss_sum, self.losses = loss_sum, losses

    def _check_options(self, path: Path, saved: dict[str, Any], given: dict[str, Any]) -> None:
        """Refuse to go on with a run that was begun with other options or photographs."""
        fixed = {name: value for name, value in asdict(self.config).items() if name != "steps"}
        changed = {name: saved.get(name) for name, value in fixed.items() if saved.get(name) != value}
        if changed:
            raise TrainingError(
                f"{path} was begun with another {', '.join(changed)}",
                found=", ".join(str(fixed[name]) for name in changed),
                allowed=", ".join(map(str, changed.values())),
                fix="use the same options, or another folder",
            )
        # what was left out may be given later
        other = [name for name, value in self.given.items() if given.get(name, value) not in (value, TEXTS.get(name))]
        if other:
            begun = [f"--{name}" + (f" ({given[name]!r})" if name in TEXTS else "") for name in other]
            raise TrainingError(
                f"{path} was begun with another {', '.join(begun)}",
                fix="use the same photographs and options, or another folder",
            )

    def save(self) -> None:
        """Write the state and the averaged weights; whole or not at all."""
        buffer = io.BytesIO()
        state = {
            "recipe": asdict(self.config),
            "model": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "origin": self.origin,
            "given": self.given,
            "loss_sum": self.loss_sum,
            "losses": self.losses,
        }
        torch.save(state, buffer)
        write_files({self.folder / STATE: buffer.getvalue()})
        self.save_weights(self.folder / WEIGHTS)

    def save_weights(self, path: Path) -> None:
        """Write the averaged weights as a checkpoint that 'fusiongcn export' reads."""
        origin = {
            "weights": "trained by 'fusiongcn train'",
            "photographs": self.photographs,
            "licence": self.licence,
            "steps": self.step,
            "seed": self.config.seed,
            **self.origin,
        }
        own = type(self.network) is NETWORKS[self.config.network]
        facts = {
            "network": self.config.network if own else type(self.network).__name__,  # which load_network refuses
            "superpixels": self.config.superpixels(),
            "blend": "soft",
            "origin": origin,
        }
        save_checkpoint(path, self.average, facts)

    def steps(self) -> Iterator[float]:
        """Train on, one step at a time; gives each step's loss.

        Raises
        ------
        TrainingError
            If the loss is not finite; what was last saved is kept.
        FusionError
            If a scene cannot be made.
        """
        config = self.config
        data: DataLoader[Sample | FusionError] = DataLoader(
            Scenes(self.train, config, self.settings, self.step * config.batch),
            batch_size=config.batch,
            num_workers=self.workers,
            collate_fn=list,
            prefetch_factor=2 if self.workers else None,
            worker_init_fn=_one_thread if self.workers else None,
        )
        for made in _told(data):
            samples: list[Sample] = []
            for sample in made:
                if isinstance(sample, FusionError):
                    raise sample
                samples.append(sample)
            start = time.perf_counter()
            self.network.train()
            for group in self.optimizer.param_groups:
                group["lr"] = config.learning_rate * learning_rate_factor(self.step, config)
            loss = loss_of(classify(self.network, samples, config.bf16), samples, config)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"The loss became {loss.item()} at step {self.step}; the state saved before it is kept in "
                    f"{self.folder}",
                    fix=f"lower the learning rate (now {config.learning_rate}) in another folder",
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if math.isfinite(config.clip):
                nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
            self.optimizer.step()
            self.step += 1
            self._average()
            self.seconds += time.perf_counter() - start
            self.loss_sum += loss.item()
            self.losses += 1
            yield loss.item()

    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        current = self.network.state_dict()
        for name, averaged in self.average.state_dict().items():
            if averaged.dtype.is_floating_point:
                averaged.lerp_(current[name], 1 - decay)
            else:
                averaged.copy_(current[name])

    def validate(self, count: int = 12, size: int = 192) -> dict[str, float]:
        """Mean PSNR of the fused image, soft and hard, and share of decisions right, on scenes never trained on."""
        if self.validation is None:
            scenes = [make_scene(self.held_out, size, HELD_OUT_SEED, index) for index in range(count)]
            self.validation = [(scene, to_sample(scene, self.settings)) for scene in scenes]
        return score(self.average, self.validation)


def set_luminance_guide(network: FusionGCN) -> None:
    """Make the guide filter the mean luminance of both photographs (Rec. 601 weights), fixed, as a 7x7 filter."""
    with torch.no_grad():
        network.mix.weight.zero_()
        network.mix.weight[0, :, 3, 3] = torch.tensor([0.299, 0.587, 0.114] * 2) / 2
        assert network.mix.bias is not None
        network.mix.bias.zero_()
    network.mix.requires_grad_(False)


def _told(data: Iterable[Any]) -> Iterator[Any]:
    """What a DataLoader gives; in a sentence if one of its processes has ended."""
    try:
        yield from data
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "A process that makes scenes was ended, for want of memory perhaps", fix="give fewer --workers, or 0"
        ) from None


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for number in StopRequest.SIGNALS:  # the main process decides what they mean, and ends its workers
        signal.signal(number, signal.SIG_IGN)


def run(
    training: Run,
    *,
    minutes: float = math.inf,
    validate_every: float = 240.0,
    save_every: float = 120.0,
    progress: OnStage = lambda text: None,
    report: OnStage = lambda text: None,
) -> dict[str, float]:
    """Train until the config's steps are done or the minutes are up; log, validate and save on the way.

    Parameters
    ----------
    training : Run
    minutes : float
    validate_every, save_every : float
        Seconds.
    progress : callable
        Called every two seconds with how far training is.
    report : callable
        Called with a line on every validation, and on what was saved at an interruption.

    Returns
    -------
    dict
        The last validation scores.

    Raises
    ------
    KeyboardInterrupt
        After saving, if a signal asked to stop.
    """
    begin = validated = saved = time.monotonic()
    shown = -math.inf
    first_step, recent = training.step, deque[float](maxlen=50)
    log = Log(training.folder / LOG, training.step)
    if log.step == training.step:  # the state was saved before that row was written, which counts its losses
        training.loss_sum, training.losses = 0.0, 0
    with StopRequest() as stop:
        for loss in training.steps():
            recent.append(loss)
            now = time.monotonic()
            if now - shown > SHOW_EVERY:
                seconds_per_step = (now - begin) / (training.step - first_step)
                progress(_position(training, recent, seconds_per_step, minutes * 60 - (now - begin)))
                shown = now
            if now - validated > validate_every:
                report(log.write(training, training.validate()))
                validated = time.monotonic()
            if now - saved > save_every:
                training.save()
                saved = now
            if stop.requested is not None or now - begin > minutes * 60:
                break
    training.save()
    if stop.requested is not None:
        report(f"saved step {training.step} in {training.folder}; the same command goes on from there")
        raise KeyboardInterrupt(stop.requested)
    scores = training.validate()
    report(log.write(training, scores))
    return scores


def _position(training: Run, recent: Sequence[float], seconds_per_step: float, left: float) -> str:
    left = min(left, (training.config.steps - training.step) * seconds_per_step)
    return (
        f"step {training.step}/{training.config.steps}  loss {np.mean(recent):.4f}  {seconds_per_step:.2f} s/step  "
        f"{max(left, 0) / 60:.0f} min left"
    )


def keep_freed_memory() -> None:
    """Start this process again with glibc told to keep freed memory: else every large tensor is paid in page faults."""
    wanted = {
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TRIM_THRESHOLD_": "8589934592",
        "MALLOC_TOP_PAD_": "268435456",
    }
    if sys.platform == "linux" and not any(name in os.environ for name in wanted):
        with suppress(AttributeError, OSError, ValueError):  # not a file
            os.dup2(sys.stderr.fileno(), 2)  # commands keep native libraries from writing there
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **wanted})
