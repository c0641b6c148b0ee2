"""What the front door must be told beside the kernel's settings: its secret, its limits, what it lets in."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from service.core.settings import CoreSettings

MEBIBYTE = 1 << 20


class ServiceSettings(CoreSettings):
    """Settings of the HTTP process, read from `LETHE_` variables."""

    admin_key: SecretStr = Field(min_length=8, description="Key of the operator; it may do everything.")
    allowed_factories: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Further factories a model may be built by, `module:callable`, comma separated.",
    )
    data_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="Folders that datasets must lie in, joined like PATH; none means anywhere."
    )
    max_body_bytes: int = Field(default=16 * MEBIBYTE, gt=0, description="Longest JSON body accepted.")
    max_weights_bytes: int = Field(
        default=16_384 * MEBIBYTE, gt=0, description="Longest upload of weights accepted."
    )
    max_uploads: int = Field(default=4, ge=1, description="Uploads taken at once; further ones wait.")
    max_wait_seconds: float = Field(default=60.0, ge=0, le=60, description="Longest wait of a long poll.")
    max_waiting: int = Field(
        default=1024, ge=1, description="Calls of intake taken at a time; further ones are answered 429."
    )
    max_waiting_bytes: int = Field(
        default=64 * MEBIBYTE, ge=0, description="Bytes of their bodies; further ones are answered 429."
    )
    pool_size: int = Field(default=10, ge=1, description="Database connections kept open by this process.")
    pool_timeout_seconds: float = Field(default=5.0, gt=0, description="Longest wait for one of them.")

    @field_validator("allowed_factories", mode="before")
    @classmethod
    def _split_factories(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("data_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value
