"""The recipe by which a model can be trained again, as its owner sends it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.schemas.values import Body

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class Head(Body):
    """A last layer trained to its minimum on the frozen weights of `initial`, and published with noise."""

    l2: float = Field(
        default=1e-3,
        strict=True,
        ge=1e-8,
        le=1000,
        description="Half of it times the squared weight is added to the loss.",
    )
    sigma: float = Field(
        default=1e-2, strict=True, ge=1e-6, le=1000, description="Deviation of the noise on each weight."
    )


class Training(Body):
    """Gradient descent with momentum on the cross entropy; with `head`, a convex problem solved."""

    epochs: int = Field(default=20, strict=True, ge=1, le=100_000)
    batch_size: int = Field(default=64, strict=True, ge=1, le=1_000_000)
    learning_rate: float = Field(default=0.05, strict=True, ge=0, le=1000)
    momentum: float = Field(default=0.9, strict=True, ge=0, le=1)
    weight_decay: float = Field(default=5e-4, strict=True, ge=0, le=1000)
    schedule: Literal["cosine", "constant"] = "cosine"
    code_mix: float = Field(
        default=0.0, strict=True, ge=0, le=1, description="Share of samples replaced by their class's code."
    )
    code_seed: Seed = 0
    seed: Seed = 0
    steps: int | None = Field(
        default=None, strict=True, ge=1, le=1_000_000_000, description="Optimizer steps, in place of epochs."
    )
    initial: Sha256 | None = Field(
        default=None,
        description="Digest of the weights that training started from, as `lethe train --from` prints it; "
        "left out, they were drawn from the seed.",
    )
    shards: int = Field(
        default=1,
        strict=True,
        ge=1,
        le=1000,
        description="Networks that each learn from their own part of the data and are served as one.",
    )
    slices: int = Field(
        default=1,
        strict=True,
        ge=1,
        le=1000,
        description="Parts of a shard, added one after the other: what forgetting need not train again.",
    )
    head: Head | None = Field(
        default=None,
        description="Train the last linear layer alone, so that samples can be removed from it by proof.",
    )

    @model_validator(mode="after")
    def _head_stands_on_given_weights(self) -> Self:
        if self.head is not None and (self.initial is None or self.code_mix > 0):
            raise PydanticCustomError(
                "head_without_initial", "needs the initial weights that the head is trained on, and no codes"
            )
        return self
