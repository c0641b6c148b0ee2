"""The engine's child process: answers calls over one socket until the other end goes away.

It is started as `python -m workers.engine.server FD PARENT_PID`. It knows no database and no broker. A call
that fails leaves it fit for the next; when its parent dies the kernel ends it.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch

from service.core import errors as core_errors
from service.core import logging
from workers.audit.errors import AuditError
from workers.engine import limits
from workers.engine.holdings import Scales
from workers.engine.messages import Answer, Asked, Failure, Progress
from workers.engine.operations.dispatch import Operations
from workers.numerics import memory
from workers.numerics.architectures import ArchitectureError
from workers.numerics.calling import CallError
from workers.numerics.datasets.base import DatasetError, DatasetRowError
from workers.numerics.fisher import FisherError
from workers.numerics.params import WeightsError
from workers.preparation.recipe import RecipeError
from workers.preparation.training import TrainingError
from workers.settings import WorkerSettings
from workers.unlearning.errors import UnlearningError

PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY = "out_of_memory"
SHORTAGE = (
    "The engine has too little memory for this model. Give it a device with more, raise LETHE_MEMORY_BYTES, "
    "or lower LETHE_CACHE_BYTES and LETHE_FISHER_BYTES."
)
"""Another attempt is worth its while: it finds nothing on the shelf, and a device may be less busy."""
log = logging.get(__name__)

FINAL_CODES: tuple[tuple[type[Exception], str], ...] = (
    (DatasetRowError, "row_unreadable"),
    (DatasetError, "dataset_invalid"),
    (WeightsError, "weights_invalid"),
    (ArchitectureError, "architecture_invalid"),
    (RecipeError, "training_invalid"),
    (TrainingError, "training_failed"),
    (FisherError, "fisher_undefined"),
    (CallError, "architecture_invalid"),
)
"""Errors that trying again cannot mend, and the code each is reported under; the first that fits counts."""


def main(file_descriptor: int, parent_pid: int) -> None:
    """Serve calls until the parent closes its end."""
    die_with(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = WorkerSettings()
    logging.configure(settings.log_level, settings.log_format)
    torch.set_num_threads(settings.threads)
    limits.bound(torch.device(settings.device), settings.memory_bytes)
    line = Connection(file_descriptor)
    operations = Operations(settings)
    scales = Scales(operations)
    while True:
        try:
            asked = Asked.model_validate_json(line.recv_bytes())
        except EOFError:
            return
        logging.bind(**asked.bound)
        answer = serve(
            operations, asked, lambda told: send(line, Answer(progress=told, holdings=scales.if_due()))
        )
        if answer.failure is not None and answer.failure.code == OUT_OF_MEMORY:
            operations.make_room()
        send(line, answer.model_copy(update={"holdings": scales.weigh()}))


def serve(operations: Operations, asked: Asked, tell: Callable[[Progress], None]) -> Answer:
    """Do what was asked and put the outcome, good or bad, into an answer."""
    try:
        return Answer(reply=operations.run(asked.call, tell).model_dump(mode="json"))
    except Exception as error:
        log.warning("engine.call_failed", call=asked.call.call, error=type(error).__name__)
        return Answer(failure=failure_of(error))


def failure_of(error: Exception) -> Failure:
    """Translate an error into what the worker needs to know of it."""
    if memory.is_shortage(error):
        return Failure(code=OUT_OF_MEMORY, text=SHORTAGE, is_retryable=True)
    if isinstance(error, UnlearningError | AuditError | core_errors.LetheError):
        return Failure(code=error.code, text=str(error), is_retryable=error.is_retryable)
    for family, code in FINAL_CODES:
        if isinstance(error, family):
            position = error.position if isinstance(error, DatasetRowError) else None
            return Failure(code=code, text=str(error), is_retryable=False, position=position)
    return Failure(
        code="engine_error",
        text=f"The engine met an unexpected {type(error).__name__}. Its log tells more.",
        is_retryable=True,
    )


def send(line: Connection, answer: Answer) -> None:
    """Send one answer."""
    line.send_bytes(answer.model_dump_json().encode())


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies, and leave at once if it is dead already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit("The worker that started this engine is gone.")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
