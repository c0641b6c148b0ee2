"""The requests that the tables are made of, and every way to meet them: methods, peers, retraining."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from benchmarks import paper_rule, peers
from benchmarks.cache import Cache
from benchmarks.setting import NUM_CLASSES, Setting
from workers.numerics import seeding
from workers.numerics.params import Params
from workers.preparation.prepared import Prepared
from workers.unlearning import registry, run
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Method

NUM_GROUPS = 3  # of two and of three classes, each seed
RETRAIN, PAPER_RULE, FINE_TUNE, MASK = "retrain", "paper_rule", "fine_tune", "mask"


@dataclass(frozen=True, eq=False)
class Way:
    """One way to forget.

    Attributes:
        name: of the method, or what it is called in the tables.
        version: of the method; empty for all else.
        guarantee: what it claims.
        has_relapse: whether it is worth the while to train on from its result.
        forget: returns the weights and the seconds that forgetting took.
    """

    name: str
    version: str
    guarantee: str
    has_relapse: bool
    forget: Callable[[], tuple[Params, float]]


def requests(size: int, seed: int, *, is_small: bool) -> Iterator[tuple[int, ...]]:
    """Yield the classes to forget: each alone, or groups of the size; the first group is every seed's."""
    if size == 1:
        yield from ((label,) for label in range(2 if is_small else NUM_CLASSES))
        return
    drawn = [tuple(range(size))]
    generator = seeding.generator(seed, "requests", size)
    while len(drawn) < (1 if is_small else NUM_GROUPS):
        group = tuple(sorted(torch.randperm(NUM_CLASSES, generator=generator)[:size].tolist()))
        if group not in drawn:
            drawn.append(group)
    yield from drawn


def ways(
    setting: Setting, base: Params, made: Callable[[], Prepared], classes: tuple[int, ...], seed: int
) -> Iterator[Way]:
    """Yield every way but retraining.

    Args:
        setting: of the model.
        base: the weights that still know.
        made: returns the model's preparation; called when a way is taken that needs it.
        classes: to forget.
        seed: of the model.
    """
    for method in registry.discover().values():
        if Kind.CLASS in method.kinds and method.guarantee != Guarantee.EXACT:
            forget = _by_method(method, setting, base, made, classes, seed)
            yield Way(method.name, method.version, method.guarantee, True, forget)

    def by_paper_rule() -> Params:
        return paper_rule.forget(setting, base, code_fishers(made()), classes, seed)[0]

    def by_fine_tuning() -> Params:
        retain, rate = setting.without(classes), setting.recipe.learning_rate
        (tuned,) = peers.fine_tune(setting, base, retain, learning_rate=rate, epochs=1, seed=seed)
        return tuned

    def by_mask() -> Params:
        return peers.mask(setting, base, classes)

    yield Way(PAPER_RULE, "", Guarantee.APPROXIMATE, True, lambda: _timed(by_paper_rule))
    yield Way(FINE_TUNE, "", Guarantee.APPROXIMATE, False, lambda: _timed(by_fine_tuning))
    yield Way(MASK, "", Guarantee.APPROXIMATE, False, lambda: _timed(by_mask))


def retrained(cache: Cache, classes: tuple[int, ...], seed: int) -> Way:
    """Return the way that all others are held against: training without the classes from the start."""
    return Way(RETRAIN, "", Guarantee.EXACT, True, lambda: cache.model(seed, without=classes))


def problem_of(
    setting: Setting, params: Params, made: Prepared, classes: Sequence[int], seed: int
) -> ForgetProblem:
    """Return the problem as a worker would pose it."""
    return ForgetProblem(
        build=setting.build,
        params=params,
        num_classes=NUM_CLASSES,
        kind=Kind.CLASS,
        classes=tuple(classes),
        forget=setting.samples("train", tuple(classes)),
        retain=setting.without(classes),
        tuning=setting.tuning,
        codes=made.codes,
        code_information=made.code_information,
        class_information=made.class_information,
        seed=seed,
        device=setting.device,
    )


def code_fishers(made: Prepared) -> dict[int, Params]:
    """Return the Fisher of each class's code."""
    assert made.code_information is not None
    return {label: made.code_information.fetch(label) for label in range(NUM_CLASSES)}


def _by_method(
    method: Method,
    setting: Setting,
    base: Params,
    made: Callable[[], Prepared],
    classes: Sequence[int],
    seed: int,
) -> Callable[[], tuple[Params, float]]:
    def forget() -> tuple[Params, float]:
        problem = problem_of(setting, base, made(), classes, seed)
        return _timed(lambda: run.forget(method, problem).params)

    return forget


def _timed(forget: Callable[[], Params]) -> tuple[Params, float]:
    started_at = time.perf_counter()
    return forget(), time.perf_counter() - started_at
