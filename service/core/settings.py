"""What every process of Lethe must be told: where the truth lies, where files lie, how long a lease lasts."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CoreSettings(BaseSettings):
    """Settings that service and workers share, read from `LETHE_` variables."""

    model_config = SettingsConfigDict(env_prefix="LETHE_", extra="ignore")

    database_url: str = Field(description="SQLAlchemy URL of PostgreSQL, driver psycopg.")
    data_dir: Path = Field(description="Folder of the artefact store and the keys.")
    lease_seconds: float = Field(default=30.0, gt=0, description="How long a claim lasts unheard.")
    max_attempts: int = Field(default=3, ge=1, description="Claims after which a job is parked as poison.")
    log_origin: str = Field(default="lethe.local/log", description="Name of this ledger in its checkpoints.")
    log_level: str = Field(default="INFO", description="Least severe level that is logged.")
    log_format: Literal["json", "text"] = Field(default="json", description="How a log line is written.")

    @property
    def store_dir(self) -> Path:
        """Folder of the content-addressed artefacts."""
        return self.data_dir / "store"

    @property
    def pseudonym_key_path(self) -> Path:
        """File of the key that turns sample and subject ids into pseudonyms."""
        return self.data_dir / "keys" / "pseudonym.key"

    @property
    def ledger_key_path(self) -> Path:
        """File of the Ed25519 key that signs checkpoints and certificates."""
        return self.data_dir / "keys" / "ledger.key"
