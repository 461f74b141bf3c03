"""Methods side by side on folders of pairs: every value of every pair, and what failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.evaluation import baselines
from fusiongcn_edge.benchmarks.evaluation.figures import Sheet
from fusiongcn_edge.benchmarks.evaluation.wilcoxon import Comparison, compare
from fusiongcn_edge.benchmarks.metrics.scorer import LOWER_IS_BETTER, METRICS, TRUTH_METRICS, FusionScorer
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.errors import user_message
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import Pair, find_by_stem, find_pairs
from fusiongcn_edge.runtime.types import OnStage

Image = NDArray[Any]
Decision = NDArray[np.bool_]
Drawn = tuple[str, Image, Decision | None]  # method, fused, decision
FAILURES = (FusionError, cv2.error, MemoryError, OSError)


@dataclass(frozen=True)
class Method:
    """A way to fuse: two photographs to one, and the decision map if there is one."""

    name: str
    fuse: Callable[[Image, Image], tuple[Image, Decision | None]]


@dataclass(frozen=True)
class Case:
    """A pair of photographs, and where its all-in-focus image should be."""

    name: str
    pair: Pair
    truth: Path | None


@dataclass(frozen=True)
class Score:
    """What a method came to on a pair: values by metric, or what went wrong."""

    case: Case
    method: str
    seconds: float | None
    values: dict[str, float]
    error: str | None


@dataclass
class Group:
    """The scores of all methods on one folder, with a truth or without."""

    title: str
    folder: Path
    cases: Sequence[Case]
    scores: list[Score] = field(default_factory=list)
    undrawn: list[str] = field(default_factory=list)  # a sentence on each picture that could not be made

    def of(self, method: str) -> dict[str, Score]:
        """The successful scores of a method by the path of the pair."""
        return {str(s.case.pair.a): s for s in self.scores if s.method == method and s.error is None}

    def metrics(self) -> list[str]:
        """Metrics that have a value anywhere, in the order of the tables."""
        present = {name for score in self.scores for name in score.values}
        return [name for name in (*METRICS, *TRUTH_METRICS) if name in present]

    def mean(self, method: str, metric: str) -> float | None:
        """Over the pairs that the method has a value for."""
        found = [score.values[metric] for score in self.of(method).values() if metric in score.values]
        return float(np.mean(found)) if found else None

    def seconds(self, method: str) -> float | None:
        """Median over the pairs."""
        found = [score.seconds for score in self.of(method).values() if score.seconds is not None]
        return float(np.median(found)) if found else None

    def comparison(self, method: str, reference: str, metric: str) -> Comparison | None:
        """Paired by image, over the images that both have a value for."""
        own, other = self.of(method), self.of(reference)
        shared = [k for k in own if k in other and metric in own[k].values and metric in other[k].values]
        if not shared:
            return None
        values, references = ([scores[key].values[metric] for key in shared] for scores in (own, other))
        return compare(values, references, metric in LOWER_IS_BETTER)


def open_methods(
    models: Sequence[str], others: Sequence[str], blends: Sequence[str] = ()
) -> tuple[list[Method], dict[str, str]]:
    """Open models and baselines by name, in this order.

    Parameters
    ----------
    models : sequence of str
        Shipped models or paths of bundles.
    others : sequence of str
        Names in ``baselines.METHODS``.
    blends : sequence of str, optional
        Of ``BLENDS``: each model is one method for each, called by its name and the blend. Default: as its bundle says.

    Returns
    -------
    methods : list of Method
    absent : dict
        Of baselines that are not installed: name to reason.

    Raises
    ------
    FusionError
        If a model cannot be opened, or no method is left.
    """
    methods, absent = list[Method](), dict[str, str]()
    short = [Path(model).name or model for model in models]
    for model, name in zip(models, short, strict=True):
        name = model if short.count(name) > 1 or name in baselines.METHODS else name
        fuser = Fuser.open(model)
        if not blends:
            methods.append(Method(name, _fuse_with(fuser)))
        for blend in blends:
            blending = Fuser(dataclasses.replace(fuser.bundle, blend=blend))
            methods.append(Method(f"{name} {blend}", _fuse_with(blending)))
    missing = baselines.absent_peers()
    for name in others:
        if name in missing:
            absent[name] = str(baselines.not_installed(name))
        else:
            methods.append(Method(name, _without_decision(baselines.METHODS[name])))
    if not methods:
        raise baselines.not_installed(next(iter(absent)))
    return methods, absent


def _fuse_with(fuser: Fuser) -> Callable[[Image, Image], tuple[Image, Decision | None]]:
    def fuse(a: Image, b: Image) -> tuple[Image, Decision | None]:
        result = fuser.fuse(a, b)
        return result.image, result.decision

    return fuse


def _without_decision(plain: baselines.Fuse) -> Callable[[Image, Image], tuple[Image, Decision | None]]:
    return lambda a, b: (plain(a, b), None)


def find_groups(pairs: Path | None, truth: Path | None) -> list[Group]:
    """What is to be fused: pairs without a truth, and pairs with one.

    ``truth`` holds pairs with the all-in-focus image in ``truth/`` beside ``a/`` and ``b/``; or such images alone, and
    they belong to ``pairs`` by their names.

    Raises
    ------
    FusionError
        If a folder has no pairs.
    """
    if pairs is not None and truth is not None and not any(truth.glob("**/a/*")):
        if not any(truth.glob("*.*")):
            raise FusionError(
                f"There is no image in {truth}", fix="give a folder of pairs with truth/, or of truths by name"
            )
        found = list(find_pairs(pairs))
        by_name = {pair.name: pair for pair in found}
        for pair in found:
            if by_name[pair.name] is not pair:
                raise FusionError(
                    f"{pair.a} and {by_name[pair.name].a} have the same name, so a truth in {truth} may be of either",
                    fix="put truths into truth/ beside a/ and b/",
                )
        beside = [Case(p.title, p, find_by_stem(truth, p.name) or truth / f"{p.name}.png") for p in found]
        return [Group("truth", pairs, beside)]
    groups = []
    if pairs is not None and pairs != truth:
        groups.append(Group("pairs", pairs, [Case(p.title, p, None) for p in find_pairs(pairs)]))
    if truth is not None:
        cases = [Case(p.title, p, p.beside("truth") or _missing_truth(p)) for p in find_pairs(truth)]
        groups.append(Group("truth", truth, cases))
    return groups


def _missing_truth(pair: Pair) -> Path:
    return pair.a.parent.parent / "truth" / f"{pair.name}.png"


def evaluate(
    group: Group, methods: Sequence[Method], progress: OnStage, pictures: Path | None, *, maps_only: bool = False
) -> None:
    """Fill a group with the scores of all methods, pair by pair.

    A pair or a method that fails is noted in its score, a picture that cannot be made in ``undrawn``; the next one is
    tried. Scores are added pair by pair, so that an interruption leaves those of all methods or none.

    Parameters
    ----------
    group : Group
    methods : sequence of Method
    progress : callable
    pictures : Path, optional
        Folder for a :class:`Sheet` of each pair.
    maps_only : bool
        Leave the photographs out of the sheets.
    """
    for number, case in enumerate(group.cases, start=1):
        where = f"{group.title}: {number} of {len(group.cases)}, {case.name}"
        progress(where)
        try:
            a, b = read_image(case.pair.a), read_image(case.pair.b)
            truth = None if case.truth is None else read_image(case.truth)
            scorer = FusionScorer(a, b, truth)
        except FAILURES as error:
            group.scores += [Score(case, method.name, None, {}, _sentence(error)) for method in methods]
            continue
        scores, drawn = list[Score](), list[Drawn]()
        for method in methods:
            score, fused, decision = _score(case, method, scorer, _prefixed(progress, f"{where}, {method.name}"))
            scores.append(score)
            if pictures is not None and fused is not None:  # else its memory is needed
                drawn.append((method.name, fused, decision))
        group.scores += scores
        if pictures is not None:
            picture = pictures / f"{group.title}-{case.name}.jpg"
            try:
                _draw(picture, Sheet(a, b, truth, maps_only=maps_only), drawn)
            except FAILURES as error:
                group.undrawn.append(f"There is no picture {picture}. {_sentence(error)}")


def _draw(picture: Path, sheet: Sheet, drawn: Sequence[Drawn]) -> None:
    for method, fused, decision in drawn:
        sheet.add(method, fused, decision)
    if sheet.rows:
        sheet.write(picture)


def _score(
    case: Case, method: Method, scorer: FusionScorer, progress: OnStage
) -> tuple[Score, Image | None, Decision | None]:
    progress("fusing")
    start = perf_counter()
    try:
        fused, decision = method.fuse(scorer.a, scorer.b)
        seconds = perf_counter() - start
        values = scorer.values(fused, progress)
    except FAILURES as error:
        return Score(case, method.name, None, {}, _sentence(error)), None, None
    return Score(case, method.name, seconds, values, None), fused, decision


def _prefixed(progress: OnStage, before: str) -> OnStage:
    return lambda text: progress(f"{before}: {text}")


def _sentence(error: BaseException) -> str:
    return user_message(error) or " ".join(str(error).split())
