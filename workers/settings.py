"""What a worker and the relay must be told beside the core's settings: broker, device, bounds."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from service.core.settings import CoreSettings

HEARTBEATS_A_LEASE = 4
"""A lease survives three lost heartbeats."""

LONGEST_BEAT_SECONDS = 1.5
"""However long a lease: a revoked one is noticed at the next beat, and its engine killed."""


class WorkerSettings(CoreSettings):
    """Settings of the relay and of a worker, read from `LETHE_` variables."""

    broker_url: str = Field(description="URL of the Redis-protocol broker.")
    device: str = Field(default="cpu", description="Where the engine computes: `cpu`, `cuda` or `cuda:N`.")
    threads: int = Field(default=1, ge=1, description="CPU threads of the engine.")
    deadline_seconds: float = Field(
        default=86_400.0,
        gt=0,
        description="Longest a single call may compute; where a model's training was measured, many times "
        "that is the bound, if it is shorter.",
    )
    drain_seconds: float = Field(
        default=20.0, ge=0, description="How long a job may go on once its worker was told to stop."
    )
    affinity_seconds: float = Field(
        default=10.0,
        ge=0,
        description="How long a more urgent job may be passed over for one whose model is in memory.",
    )
    cache_bytes: int = Field(default=8 << 30, ge=0, description="Memory for models kept ready in the engine.")
    memory_bytes: int = Field(
        default=0,
        ge=0,
        description="Memory of the device that the engine may take for models and data, beside what it takes "
        "when it is empty; a model that needs more is refused as `out_of_memory`. 0 sets no bound.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="What the passes that take Fishers multiply in; sums are float32."
    )
    fisher_bytes: int = Field(
        default=4 << 30,
        ge=0,
        description="Bound on the Fishers stored class by class for one model; above it only their sum is "
        "kept, and a class's own is computed from its samples when it is asked for.",
    )
    allowed_factories: str = Field(
        default="", description="Comma-separated `module:callable` that may build a model."
    )
    data_roots: str = Field(default="", description="Folders datasets must lie in; empty allows any.")
    extra_methods: str = Field(
        default="", description="Comma-separated packages with further unlearning methods."
    )

    @property
    def initial_dir(self) -> Path:
        """Folder of weights that recipes start from, put there by the operator as DIGEST.safetensors."""
        return self.data_dir / "initial"

    @property
    def slices_dir(self) -> Path:
        """Folder of the states that trainings in shards left after each slice, as `lethe train` writes it."""
        return self.data_dir / "slices"

    @property
    def records_dir(self) -> Path:
        """Folder of the update logs of trainings, put there by the operator under their weights' digests."""
        return self.data_dir / "records"

    @property
    def noise_key_path(self) -> Path:
        """File of the key of the noise on heads that forget by proof; no other process needs it."""
        return self.data_dir / "keys" / "noise.key"

    @property
    def heartbeat_seconds(self) -> float:
        """Time between two renewals of a lease."""
        return min(self.lease_seconds / HEARTBEATS_A_LEASE, LONGEST_BEAT_SECONDS)
