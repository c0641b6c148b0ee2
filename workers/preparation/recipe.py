"""How a model is trained, as a record: with it and the data, exact retraining gives the same bytes again."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_PARTS = 1000
"""Of shards, and of slices."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAYBE = {int | None: int, str | None: str}
_KIND_NAMES = {int: "an integer", float: "a number", str: "text"}


class RecipeError(ValueError):
    """A training recipe has an unknown field, or a value of the wrong type or range; final."""


class Schedule(StrEnum):
    """How the learning rate falls."""

    COSINE = "cosine"  # from its full value to 0 along half a cosine, step by step
    CONSTANT = "constant"


@dataclass(frozen=True)
class HeadRecipe:
    """A last layer trained to the minimum on frozen features, and published with noise (`heads`).

    Attributes:
        l2: half of it times the squared weight is added to the mean cross entropy.
        sigma: deviation of the noise on every published weight of the layer.
    """

    l2: float = 1e-3
    sigma: float = 1e-2

    def __post_init__(self) -> None:
        _check_range("head.l2", self.l2, 1e-8, 1000.0)
        _check_range("head.sigma", self.sigma, 1e-6, 1000.0)


@dataclass(frozen=True)
class TrainingRecipe:
    """Stochastic gradient descent with momentum on the cross entropy; with `head`, a convex problem solved.

    Attributes:
        epochs: passes over the training samples.
        batch_size: samples a step.
        learning_rate: at the first step.
        momentum: of SGD.
        weight_decay: of SGD, on every parameter.
        schedule: of the learning rate.
        code_mix: the probability with which a sample is replaced by its class's mnemonic code (t_mix of the
            paper's Algorithm 1); 0 trains without codes.
        code_seed: draws the codes.
        seed: draws the initial values, the order of the samples, the mixing and any dropout.
        steps: of the optimizer, in place of `epochs`, whatever the number of samples; None counts epochs.
        initial: SHA-256 of the weights that training starts from (`initial.digest_of`); None draws them. Who
            trains a model anew by this recipe needs the same weights, and whatever these weights learned
            elsewhere, the new model has learned too.
        shards: parts of the data that each teach a network of their own; what is served aggregates them.
        slices: parts of each shard that are added one after the other. With shards or slices above 1, samples
            are forgotten by training only their shard anew, from before their slice (`sharded`).
        head: trains the last linear layer alone, to its minimum, on `initial` as it is; epochs and whatever
            else belongs to descent say nothing then. None trains the whole network by descent.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = Schedule.COSINE
    code_mix: float = 0.0
    code_seed: int = 0
    seed: int = 0
    steps: int | None = None
    initial: str | None = None
    shards: int = 1
    slices: int = 1
    head: HeadRecipe | None = None

    def __post_init__(self) -> None:
        _check_range("epochs", self.epochs, 1, 100_000)
        _check_range("batch_size", self.batch_size, 1, 1_000_000)
        _check_range("learning_rate", self.learning_rate, 0.0, 1000.0)
        _check_range("momentum", self.momentum, 0.0, 1.0)
        _check_range("weight_decay", self.weight_decay, 0.0, 1000.0)
        _check_range("code_mix", self.code_mix, 0.0, 1.0)
        _check_range("shards", self.shards, 1, MAX_PARTS)
        _check_range("slices", self.slices, 1, MAX_PARTS)
        if self.steps is not None:
            _check_range("steps", self.steps, 1, 1_000_000_000)
        if self.head is not None and self.code_mix > 0:
            raise RecipeError("expected code_mix 0 beside head, which learns no codes; leave one of them out")
        if self.head is not None and self.is_sharded:
            raise RecipeError("expected one shard and one slice beside head; leave one of them out")
        if self.initial is not None and not _DIGEST.fullmatch(self.initial):
            raise RecipeError(
                f"expected initial to be 64 lower-case hexadecimal digits, got {self.initial!r}; correct it"
            )

    @property
    def is_sharded(self) -> bool:
        """Whether it trains shard by shard and slice by slice."""
        return self.shards > 1 or self.slices > 1

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> "TrainingRecipe":
        """Read a recipe; fields left out have their defaults. The inverse of `to_json`.

        Raises:
            RecipeError: names the unknown, ill-typed or out-of-range field.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, value in mapping.items():
            if name not in fields:
                raise RecipeError(
                    f"expected a field out of {', '.join(fields)}, got {name!r}; remove or rename it"
                )
            values[name] = _typed(name, value, fields[name].type)
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Return every field as a JSON value; one that is None is left out."""
        return {
            name: str(value) if name == "schedule" else value
            for name, value in dataclasses.asdict(self).items()
            if value is not None
        }


def _head(value: Any) -> HeadRecipe | None:
    """Read the part of a recipe that is a record of its own."""
    if value is None:
        return None
    known = [field.name for field in dataclasses.fields(HeadRecipe)]
    if not isinstance(value, Mapping) or not {*value} <= {*known}:
        raise RecipeError(
            f"expected head to be an object with {' and '.join(known)}, got {value!r}; correct it"
        )
    return HeadRecipe(**{name: _typed(f"head.{name}", number, float) for name, number in value.items()})


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Return a JSON value as the field's type; an integer is a number too, a boolean is neither."""
    if kind == HeadRecipe | None:
        return _head(value)
    if kind in _MAYBE and value is None:
        return None
    kind = _MAYBE.get(kind, kind)
    if kind is Schedule:
        if value not in list(Schedule):
            raise RecipeError(
                f"expected {name} to be one of {', '.join(Schedule)}, got {value!r}; choose one"
            )
        return Schedule(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is not float and isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise RecipeError(f"expected {name} to be {_KIND_NAMES[kind]}, got {value!r}; correct it")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RecipeError(f"expected {name} between {low} and {high}, got {value}; correct it")
