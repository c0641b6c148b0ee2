"""Every way to meet a request: the registered methods, retraining, and two that any method must beat."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.cache import Cache
from benchmarks.quality.asks import Ask
from benchmarks.setting import NUM_CLASSES, Setting
from workers.numerics.params import Params
from workers.preparation.prepared import Prepared
from workers.preparation.recipe import TrainingRecipe
from workers.unlearning import registry, run
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Method, Need

OWN_TRAINING = {Need.SLICES, Need.UPDATE_LOG, Need.HEAD}
"""Needs of methods whose models are trained for them; benchmarks of their own measure them."""

NOTHING, MASK = "(nothing)", "(output mask)"


@dataclass(frozen=True, eq=False)
class Way:
    """One way.

    Attributes:
        name: of the method, or in brackets what is no method.
        guarantee: what it claims.
        is_experimental: whether the planner leaves it alone.
        forget: returns the candidate and the seconds it took; raises UnlearningError.
    """

    name: str
    guarantee: str
    is_experimental: bool
    forget: Callable[[], tuple[Params, float]]


@dataclass(frozen=True, eq=False)
class Model:
    """One original with what a worker has beside it."""

    setting: Setting
    recipe: TrainingRecipe
    params: Params
    prepared: Prepared
    cache: Cache
    seed: int

    def problem(self, ask: Ask) -> ForgetProblem:
        """Return the problem as a worker would pose it; retraining reads the cache."""

        def retrain(excluded: NDArray[np.int64]) -> Params:
            return self.cache.trained(self.recipe, excluded, ask.source)[0]

        return ForgetProblem(
            build=self.setting.build,
            params=self.params,
            num_classes=NUM_CLASSES,
            kind=ask.kind,
            classes=ask.classes,
            forget=ask.forget,
            retain=ask.retain,
            tuning=ask.holdout(0),
            codes=self.prepared.codes,
            code_information=self.prepared.code_information,
            class_information=self.prepared.class_information,
            retrain=retrain,
            recipe=self.recipe.to_json(),
            seed=self.seed,
            device=self.setting.device,
        )


def ways(model: Model, ask: Ask, gold: tuple[Params, float], asked: list[str]) -> Iterator[Way]:
    """Yield every way to meet the request, the two floors first.

    Args:
        model: that still knows.
        ask: the request.
        gold: weights retrained without the forget set, and the seconds that takes.
        asked: names of methods; all if empty.
    """
    yield Way(NOTHING, Guarantee.APPROXIMATE, True, lambda: (model.params, 0.0))
    if ask.kind is Kind.CLASS:
        masked = peers.mask(model.setting, model.params, ask.classes)
        yield Way(MASK, Guarantee.APPROXIMATE, True, lambda: (masked, 0.0))
    for method in registry.discover().values():
        if (
            ask.kind not in method.kinds
            or (asked and method.name not in asked)
            or method.needs & OWN_TRAINING
        ):
            continue
        is_experimental = method.experimental is not None
        if method.name == "retrain":
            yield Way(method.name, method.guarantee, is_experimental, lambda: gold)
            continue

        def forget(method: Method = method) -> tuple[Params, float]:
            problem = model.problem(ask)
            started_at = time.perf_counter()
            params = run.forget(method, problem).params
            return params, time.perf_counter() - started_at

        yield Way(method.name, method.guarantee, is_experimental, forget)
