"""Parameters as values: a model's state as a dict of tensors, checked, compared, and stored as safetensors.

Vocabulary: `Params` maps a name, as `model.named_parameters()` and `model.named_buffers()` give it, to a
tensor. A tied parameter has several names in a model and one here, its first: who changes it changes it
everywhere. Buffers that a state_dict leaves out are no state. No pickle is ever read.
"""

import os
from pathlib import Path
from typing import TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

Params: TypeAlias = dict[str, Tensor]

_PICKLE_OPENINGS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_SHOWN = 5  # how many names an error message lists


class WeightsError(ValueError):
    """The given weights cannot be the state of this model; final, the sender must send others."""


def state_of(model: nn.Module) -> Params:
    """Return detached clones of a model's parameters and persistent buffers, each under its first name."""
    return {name: tensor.detach().clone() for name, tensor in _tensors(model).items()}


def trainable_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the parameters that require a gradient, in the model's order, a tied one once."""
    return tuple(name for name, parameter in model.named_parameters() if parameter.requires_grad)


def conform(model: nn.Module, params: Params) -> Params:
    """Return `params` under the model's own names and order, checked to be a state of this model.

    Args:
        model: gives the names, shapes and dtypes; not changed.
        params: a full state. A tied parameter may come under any of its names, or under several if they are
            equal.

    Returns:
        The same tensors, one entry for each of `state_of(model)`.

    Raises:
        WeightsError: names are missing or unexpected, a shape or dtype differs, a value is NaN or infinite.
    """
    names = _names(model)
    given: Params = {}
    for name, tensor in params.items():
        first = names.get(name, name)
        if first in given and not torch.equal(given[first], tensor):
            raise WeightsError(
                f"expected one value for the tied parameter {first!r}, got another under {name!r}; "
                "send it once, or equal under each of its names"
            )
        given[first] = tensor

    expected = _tensors(model)
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    if missing or unexpected:
        raise WeightsError(
            f"expected the {len(expected)} tensors of this architecture, got {len(params)}: "
            f"missing {_some(missing)}, unexpected {_some(unexpected)}; "
            "send the full state_dict of the registered architecture"
        )
    for name, tensor in expected.items():
        _check_like(name, tensor, given[name])
    check_finite(given)
    return {name: given[name] for name in expected}


def load_params(model: nn.Module, params: Params) -> None:
    """Copy a full state into the model in place; the model keeps its device.

    Raises:
        WeightsError: as `conform`; the model is then as it was.
    """
    state = conform(model, params)
    with torch.no_grad():
        for name, tensor in _tensors(model).items():
            tensor.copy_(state[name])


def check_finite(params: Params) -> None:
    """Refuse a state with a NaN or an infinity.

    Raises:
        WeightsError: names the tensors and says how many of their values are not finite.
    """
    broken = [
        f"{name} ({int((~torch.isfinite(tensor)).sum())} of {tensor.numel()})"
        for name, tensor in params.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if broken:
        raise WeightsError(
            f"expected finite values, got NaN or infinity in {_some(broken)}; "
            "send weights from before the training diverged"
        )


def num_changed(before: Params, after: Params) -> int:
    """Return how many scalars differ between two states of the same names and shapes; NaN always does."""
    return sum(int((before[name] != after[name]).sum()) for name in before)


def to_bytes(params: Params) -> bytes:
    """Return the safetensors form; the same values give the same bytes, and `from_bytes` gives them back."""
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in params.items()}
    )


def from_bytes(content: bytes) -> Params:
    """Read the safetensors form; tensors are on the CPU and own their memory.

    Raises:
        WeightsError: the content is a pickle, cut short, no safetensors at all, or holds a NaN or an
            infinity.
    """
    if content.startswith(_PICKLE_OPENINGS):
        raise WeightsError(
            "expected safetensors, got a pickle (torch.save); pickles can run code and are never read: "
            "write the state_dict with safetensors.torch.save_file"
        )
    try:
        loaded = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"expected a whole safetensors file, got {len(content)} bytes, cut short or of another format "
            f"({error}); write the state_dict with safetensors.torch.save_file and send every byte"
        ) from error
    params = {name: tensor.clone() for name, tensor in loaded.items()}
    check_finite(params)
    return params


def write_file(path: Path, params: Params) -> None:
    """Write the safetensors form to `path` under a temporary name, fsync it, and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(to_bytes(params))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_file(path: Path) -> Params:
    """Read a safetensors file into memory of its own, so that the file may be purged meanwhile.

    Raises:
        WeightsError: as `from_bytes`.
        OSError: the file cannot be read.
    """
    return from_bytes(path.read_bytes())


def _tensors(model: nn.Module) -> Params:
    """Return the live parameters and persistent buffers, each under its first name."""
    persistent = model.state_dict(keep_vars=True).keys()
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor for name, tensor in named if name in persistent}


def _names(model: nn.Module) -> dict[str, str]:
    """Return every name of every tensor of the state -> its first name."""
    first_names = {id(tensor): name for name, tensor in _tensors(model).items()}
    live = model.state_dict(keep_vars=True)
    return {name: first_names[id(tensor)] for name, tensor in live.items() if id(tensor) in first_names}


def _check_like(name: str, expected: Tensor, got: Tensor) -> None:
    if got.shape != expected.shape:
        raise WeightsError(
            f"expected {name!r} of shape {list(expected.shape)}, got {list(got.shape)}; "
            "register the architecture with the arguments it was trained with"
        )
    if got.dtype != expected.dtype:
        raise WeightsError(
            f"expected {name!r} of type {expected.dtype}, got {got.dtype}; convert it before sending"
        )


def _some(names: list[str]) -> str:
    """Return the first few names as text."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) + more) if names else "none"
