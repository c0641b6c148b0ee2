"""The typed client of Lethe's HTTP contract, and the safe way to pull a version."""

from lethe.client.api import LetheClient
from lethe.client.errors import LetheApiError, LetheError, LetheUnreachable, PullRefused
from lethe.client.pull import Pulled, download, pull
from lethe.client.records import (
    ApiKey,
    ForgetRequest,
    Model,
    Pointer,
    Target,
    Version,
    Wish,
    class_target,
    samples_target,
    subject_target,
)

__all__ = [
    "ApiKey",
    "ForgetRequest",
    "LetheApiError",
    "LetheClient",
    "LetheError",
    "LetheUnreachable",
    "Model",
    "Pointer",
    "PullRefused",
    "Pulled",
    "Target",
    "Version",
    "Wish",
    "class_target",
    "download",
    "pull",
    "samples_target",
    "subject_target",
]
