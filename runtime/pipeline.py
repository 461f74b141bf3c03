"""From image files to a fused file, for every command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.errors import printable
from fusiongcn_edge.runtime.fuser import Fuser, check_limits, open_bundle
from fusiongcn_edge.runtime.registration.frames import AlignedFrames, align_frames
from fusiongcn_edge.runtime.types import Frames, OnStage


def open_fuser(arguments: argparse.Namespace) -> Fuser:
    """The fuser that the arguments of :func:`add_fuser_arguments` ask for."""
    return Fuser.open(
        arguments.model, engine=arguments.engine, threads=arguments.threads, max_memory=arguments.max_memory
    )


def check_fuser(arguments: argparse.Namespace) -> Bundle:
    """The bundle that :func:`open_fuser` would open. Refuses what that would refuse, before there was any work; it
    takes hardly any memory, for it loads no engine."""
    bundle = open_bundle(arguments.model, arguments.engine)
    check_limits(bundle, arguments.threads, arguments.max_memory)
    return bundle


def aligned(
    arguments: argparse.Namespace,
    frames: Frames,
    names: Sequence[str],
    progress: OnStage,
    reference: int | None = None,
) -> AlignedFrames | None:
    """The frames as the arguments of :func:`add_alignment_arguments` want them, or None if they are to stay as they
    are."""
    if arguments.align == "none" and not arguments.match_exposure:
        return None
    return align_frames(
        frames,
        arguments.align,
        names=names,
        reference=reference,
        match_exposure=arguments.match_exposure,
        keep_full_frame=arguments.no_crop,
        skip_failed=getattr(arguments, "skip_failed", False),
        progress=progress,
    )


def alignment_report(arguments: argparse.Namespace, frames: AlignedFrames, names: Sequence[str]) -> list[str]:
    """A line on each photograph."""
    found = dict(zip(frames.numbers, frames.alignments, strict=True))
    moved = arguments.align != "none"
    lines = {frames.reference: "the others are aligned to it" if moved else "the others are made as bright"}
    left_out = "left out, because it cannot be aligned"
    return [f"{printable(name)}: {lines.get(number, found.get(number, left_out))}" for number, name in enumerate(names)]
