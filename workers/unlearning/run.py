"""The one door to a method: refuses impossible problems, runs the method, and checks what it returns.

A method may trust what this file checked, and whoever calls this file may trust the result: it has the
names, shapes and dtypes that were given, and every value is finite.
"""

from typing import Any

import torch

from workers.numerics import memory
from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Kind, Method, UnlearnResult
from workers.unlearning.errors import (
    DeviceMemoryError,
    DivergedError,
    ImpossibleRequestError,
    UnsupportedKindError,
)


def forget(method: Method, problem: ForgetProblem, parameters: Any = None) -> UnlearnResult:
    """Run one method on one problem.

    Args:
        method: as found by the registry.
        problem: read only.
        parameters: an instance of `method.Parameters`; None for its defaults.

    Raises:
        ImpossibleRequestError: nothing to forget, nothing would remain, or a class does not exist.
        UnsupportedKindError: the method does not serve this kind of request.
        DivergedError: the method returned unusable weights.
        DeviceMemoryError: the device ran out of memory; retryable.
        UnlearningError: any other reason the method gives.
    """
    _refuse_impossible(problem)
    if problem.kind not in method.kinds:
        raise UnsupportedKindError(
            f"{method.name} serves requests for {', '.join(sorted(method.kinds))}, got one for "
            f"{problem.kind.value}: choose another method"
        )
    try:
        result = method.forget(problem, method.Parameters() if parameters is None else parameters)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not memory.is_shortage(error):
            raise
        raise DeviceMemoryError(f"{method.name} ran out of memory on {problem.device}: try again") from error
    _refuse_unusable(problem.params, result.params, method.name)
    return result


def _refuse_impossible(problem: ForgetProblem) -> None:
    unknown = [c for c in problem.classes if not 0 <= c < problem.num_classes]
    if unknown:
        raise ImpossibleRequestError(f"expected classes in 0..{problem.num_classes - 1}, got {unknown}")
    if problem.kind is Kind.CLASS and not problem.classes:
        raise ImpossibleRequestError("a class request must name at least one class, got none")
    again = sorted({*problem.classes} & {*problem.forgotten_classes})
    if again:
        raise ImpossibleRequestError(f"classes {again} were forgotten earlier: ask only for the others")
    if not problem.remaining_classes:
        raise ImpossibleRequestError(
            "the request would forget every class, so no model would remain: withdraw the model instead"
        )
    if problem.kind is Kind.SAMPLES and len(problem.forget) == 0:
        raise ImpossibleRequestError("a samples request must name at least one training sample, got none")


def _refuse_unusable(given: Params, returned: Params, name: str) -> None:
    if given.keys() != returned.keys():
        odd = sorted(given.keys() ^ returned.keys())
        raise DivergedError(f"{name} must return the tensors it was given; missing or added: {odd}")
    for tensor_name, before in given.items():
        after = returned[tensor_name]
        if after.shape != before.shape or after.dtype != before.dtype:
            raise DivergedError(
                f"{name} must keep {tensor_name} at {tuple(before.shape)} {before.dtype}, "
                f"got {tuple(after.shape)} {after.dtype}"
            )
        if not bool(torch.isfinite(after).all()):
            raise DivergedError(
                f"{name} made {tensor_name} non-finite: use weaker parameters or another method"
            )
