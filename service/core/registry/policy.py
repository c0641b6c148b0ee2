"""A model's policy: which methods may try, in which order, and when exact retraining comes first."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_CANCEL_WINDOW_SECONDS = 14 * 86_400.0
"""A request held longer could not be served within its month."""
MAX_EXACT_WINDOW_SECONDS = 28 * 86_400.0
"""A window longer than the month that the law gives would promise what no run could keep."""
MAX_BATCH_WINDOW_SECONDS = 7 * 86_400.0
"""Whoever waits longer for company should ask for fewer runs, not for later ones."""


class Policy(BaseModel):
    """What the owner of a model decides about forgetting in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exact_budget_seconds: float = Field(
        default=600.0,
        ge=0,
        description="Retrain exactly, at once, when the measured training cost fits.",
    )
    class_ladder: tuple[str, ...] = Field(
        default=("ssd", "one_shot", "retrain"),
        min_length=1,
        description="Methods for class requests, each tried when the audit refused the one before.",
    )
    samples_ladder: tuple[str, ...] = Field(
        default=("retrain", "ssd"),
        min_length=1,
        description="Methods for sample and subject requests; what follows an exact one is for models that "
        "cannot be trained again.",
    )
    exact_at_last: bool = Field(
        default=True,
        description="End every ladder in exact retraining where the model can be trained again, even one "
        "that does not name it. False: what no method of the ladder could do waits for a person.",
    )
    method_parameters: dict[str, dict[str, bool | int | float | str | None]] = Field(
        default_factory=dict,
        description="Parameters that differ from a method's defaults, by method; GET /v1/methods lists them.",
    )
    audit_limits: dict[str, float] = Field(
        default_factory=dict, description="Thresholds of audit checks that differ from the suite's."
    )
    accept_inconclusive: bool = Field(
        default=False,
        description="Publish a candidate that the audit left undecided, so labelled, if no rung has passed.",
    )
    complete_on: Literal["audit_pass", "exact"] = Field(
        default="audit_pass",
        description="What closes a request: a version that passed its audit, or only one that was retrained "
        "without the data; then any other is an interim version, and requests wait for a common retraining.",
    )
    exact_window_seconds: float = Field(
        default=7 * 86_400.0,
        ge=0,
        le=MAX_EXACT_WINDOW_SECONDS,
        description="Retrain exactly at the latest this long after the oldest interim version; sooner where "
        "due dates are near or the cost fits the budget.",
    )
    suppress_first: bool = Field(
        default=False,
        description="Answer a class request within seconds by an interim version whose output is masked.",
    )
    batch_window_seconds: float = Field(
        default=0.0,
        ge=0,
        le=MAX_BATCH_WINDOW_SECONDS,
        description="Let the first request wait this long for others to share its run; less where a due date "
        "is near. 0: at once, together with whatever waits by then.",
    )
    reference_models: int = Field(
        default=16,
        ge=0,
        le=256,
        description="Models trained on half of the data, that the audit of sample requests compares with.",
    )
    class_references: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="Models trained without one class, that the audit of class requests compares with.",
    )
    study_seconds: float = Field(
        default=600.0,
        ge=0,
        description="Time a worker may spend on a version, when nobody waits, to make these models and to "
        "rehearse forgetting; 0 for no study.",
    )
    approval_required: bool = Field(default=False, description="Hold each request until a person approves.")
    cancel_window_seconds: float = Field(
        default=0.0,
        ge=0,
        le=MAX_CANCEL_WINDOW_SECONDS,
        description="Hold each request this long, so that it can be cancelled.",
    )
