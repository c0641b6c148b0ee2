"""What the worker and its engine say to each other: JSON records, tensors only by digest in the store."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """A frozen record that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StoredFile(Message):
    """A file of a version, in the store already.

    Attributes:
        name: Its name in the version, e.g. `model.safetensors` or `prepared/class_fisher/3.safetensors`.
        sha256: Digest, hex.
        size: Bytes.
        is_public: Whether serving may pull it.
    """

    name: str
    sha256: str
    size: int
    is_public: bool


class ModelSpec(Message):
    """How to build a model and open what it learned from."""

    space: str
    """The model's space in the artefact store."""
    factory: str
    arguments: dict[str, Any]
    dataset_name: str
    dataset: dict[str, Any]
    training: dict[str, Any]
    training_seconds: float | None = None
    """Measured cost of training it once, which bounds how long a call may take; None before it is known."""


class Group(Message):
    """Part of a forget target: whole classes, or manifest positions."""

    kind: Literal["class", "samples"]
    classes: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


class Step(Group):
    """A group and the method that is to make the model forget it."""

    method: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class StepReport(Message):
    """What a step did."""

    kind: Literal["class", "samples"]
    method: str
    method_version: str
    parameters: dict[str, Any]
    guarantee: str
    caveats: tuple[str, ...]
    seconds: float
    diagnostics: dict[str, Any]


class Catalogue(Message):
    """Ask which methods there are."""

    call: Literal["catalogue"] = "catalogue"


class CatalogueReply(Message):
    """Descriptions of the methods, as the API lists them."""

    methods: list[dict[str, Any]]


class Prepare(Message):
    """Check freshly uploaded weights and make everything that must exist before a request comes."""

    call: Literal["prepare"] = "prepare"
    model: ModelSpec
    weights_sha256: str
    excluded: tuple[int, ...]
    lineage_path: str
    """Scratch file that the manifest's rows are written to, under pseudonym."""


class PrepareReply(Message):
    """What preparation found and made."""

    num_classes: int
    training_seconds: float
    manifest_digest: str
    facts: dict[str, Any]
    files: tuple[StoredFile, ...]


class UpdateLogRef(Message):
    """The update log that a version descends from by subtraction alone.

    Attributes:
        weights: SHA-256 of the weights that the log belongs to; its folder's name.
        subtracted: Positions whose records have left the weights since.
    """

    weights: str
    subtracted: tuple[int, ...]


class Unlearn(Message):
    """Make a version forget: the steps of one rung, each starting from what the one before left."""

    call: Literal["unlearn"] = "unlearn"
    model: ModelSpec
    base: tuple[StoredFile, ...]
    steps: tuple[Step, ...]
    forgotten_classes: tuple[int, ...]
    forgotten_positions: tuple[int, ...]
    update_log: UpdateLogRef | None = None
    seed: int


class UnlearnReply(Message):
    """The candidate that the steps left, and private files that only the last method's next run can use."""

    weights: StoredFile
    steps: tuple[StepReport, ...]
    left: tuple[StoredFile, ...] = ()


class Audit(Message):
    """Hold a candidate against its base."""

    call: Literal["audit"] = "audit"
    model: ModelSpec
    base: tuple[StoredFile, ...]
    weights_sha256: str
    groups: tuple[Group, ...]
    forgotten_classes: tuple[int, ...]
    forgotten_positions: tuple[int, ...]
    guarantee: str
    limits: dict[str, float]
    seed: int


class AuditReply(Message):
    """The audit's report: suite, verdict, guarantee, checks, numbers before and after."""

    report: dict[str, Any]


class Carry(Message):
    """Make a passed candidate a version: carry over what the forgotten did not touch, and measure it."""

    call: Literal["carry"] = "carry"
    model: ModelSpec
    base: tuple[StoredFile, ...]
    weights: StoredFile
    left: tuple[StoredFile, ...] = ()
    groups: tuple[Group, ...]
    is_retrained: bool
    forgotten_classes: tuple[int, ...]
    forgotten_positions: tuple[int, ...]
    guarantee: str


class CarryReply(Message):
    """All files of the new version, and what was measured of it."""

    files: tuple[StoredFile, ...]
    facts: dict[str, Any]


class Refresh(Message):
    """Take anew what a version needs for its next request, at its weights and from what it still knows."""

    call: Literal["refresh"] = "refresh"
    model: ModelSpec
    base: tuple[StoredFile, ...]
    forgotten_classes: tuple[int, ...]
    forgotten_positions: tuple[int, ...]


class RefreshReply(Message):
    """All private files of the version."""

    files: tuple[StoredFile, ...]


class Sweep(Message):
    """Find the states of a training in shards that saw what is forgotten; nothing is deleted."""

    call: Literal["sweep"] = "sweep"
    model: ModelSpec
    forgotten_positions: tuple[int, ...]


class SweepReply(Message):
    """What must go."""

    files: tuple[str, ...]
    """Paths below the folder of slices."""


class Study(Message):
    """Take a turn at a version's references and rehearsal; nothing that is served changes.

    Attributes:
        reference_models: How many members the reference bank should have.
        class_references: How many classes should have a reference.
        training_seconds: Measured cost of training the model once.
        seconds_left: That may still be spent on this version's study.
        turn_seconds: How long this turn may last; what was begun is ended.
        give_way_path: File that appears when somebody waits: the turn ends as soon as it may.
        ladders: Kind of request -> the methods of the policy's ladder.
        method_parameters: What the policy states of methods; such a method is rehearsed so alone.
        limits: Of the policy, for the audit.
        given_up: Part of the study -> why it is not tried again.
    """

    call: Literal["study"] = "study"
    model: ModelSpec
    base: tuple[StoredFile, ...]
    forgotten_classes: tuple[int, ...]
    forgotten_positions: tuple[int, ...]
    reference_models: int
    class_references: int
    training_seconds: float | None
    seconds_left: float
    turn_seconds: float
    give_way_path: str
    ladders: dict[Literal["class", "samples"], tuple[str, ...]]
    method_parameters: dict[str, dict[str, Any]]
    limits: dict[str, float]
    given_up: dict[str, str]


class StudyReply(Message):
    """What the version has now.

    Attributes:
        files: The study's private files; they take the place of those it had.
        is_done: Whether another turn would do nothing.
        seconds: That this turn took.
        given_up: As in the call, with what failed in this turn.
        references: Counts and classes, for people.
        promise: What the model can promise, kind by kind; empty until something was rehearsed.
        left_out: What the study leaves out, and why, as sentences.
    """

    files: tuple[StoredFile, ...]
    is_done: bool
    seconds: float
    given_up: dict[str, str]
    references: dict[str, Any]
    promise: list[dict[str, Any]]
    left_out: tuple[str, ...]


Call = Annotated[
    Catalogue | Prepare | Unlearn | Audit | Carry | Refresh | Sweep | Study, Field(discriminator="call")
]


class Asked(Message):
    """From the worker: one call, and the fields that its log lines carry."""

    call: Call
    bound: dict[str, str] = Field(default_factory=dict)


class Progress(Message):
    """From the engine: how far the present call is."""

    stage: str
    fraction: float


class Failure(Message):
    """From the engine: the call failed.

    Attributes:
        code: Stable name of the reason.
        text: What was expected, what came, what to do; samples by position only.
        is_retryable: Whether the same call may succeed later.
        position: The manifest row at fault, if one is.
    """

    code: str
    text: str
    is_retryable: bool
    position: int | None = None


class Holdings(Message):
    """From the engine: what it holds in memory.

    Attributes:
        held_models: Models of which anything is kept ready.
        held_bytes: Bytes of their tensors.
        gpu_used_bytes: Memory of its device in use, by whomever; None without one.
        gpu_total_bytes: Memory that the device has.
    """

    held_models: int
    held_bytes: int
    gpu_used_bytes: int | None = None
    gpu_total_bytes: int | None = None


class Answer(Message):
    """From the engine: exactly one of progress, failure and reply; now and then with what it holds."""

    progress: Progress | None = None
    failure: Failure | None = None
    reply: dict[str, Any] | None = None
    holdings: Holdings | None = None
