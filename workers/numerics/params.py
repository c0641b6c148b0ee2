"""Parameters as values: a model's state as a dict of tensors, checked, compared, and stored as safetensors.

Vocabulary: `Params` maps a name, as `model.named_parameters()` and `model.named_buffers()` give it, to a
tensor. A tied parameter has several names in a model and one here, its first: who changes it changes it
everywhere. Buffers that a state_dict leaves out are no state. No pickle is ever read.

Writing takes no copy of the tensors and reading a file takes one, its result: a model of gigabytes passes
between memory and disk in pieces (`pieces`, `read_file`).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

Params: TypeAlias = dict[str, Tensor]

_PICKLE_OPENINGS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_SHOWN = 5  # how many names an error message lists
_PIECE_BYTES = 1 << 22
_ALIGNMENT = 8  # of the data, by spaces behind the header
_FORMAT_NAMES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
}
"""What safetensors calls a type, in the order in which its own writer lays types out, the last one first."""


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


def pieces(params: Params) -> Iterator[bytes]:
    """Yield the safetensors form in bounded pieces; joined, they are what safetensors' own writer gives.

    A tensor is copied only if it is on another device or not contiguous, and then alone.

    Raises:
        WeightsError: a type has no place in the format.
    """
    types = list(_FORMAT_NAMES)
    strange = [name for name, tensor in params.items() if tensor.dtype not in _FORMAT_NAMES]
    if strange:
        raise WeightsError(
            f"expected tensors of {', '.join(map(str, types))}, got others in {_some(strange)}; convert them"
        )
    names = sorted(params, key=lambda name: (-types.index(params[name].dtype), name.encode()))
    header: dict[str, object] = {}
    end = 0
    for name in names:
        start, end = end, end + params[name].nbytes
        kind, shape = _FORMAT_NAMES[params[name].dtype], [*params[name].shape]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        content = params[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        for start in range(0, len(content), _PIECE_BYTES):
            yield content[start : start + _PIECE_BYTES].tobytes()


def to_bytes(params: Params) -> bytes:
    """Return the safetensors form; the same values give the same bytes, and `from_bytes` gives them back."""
    return b"".join(pieces(params))


def sha256_of(params: Params) -> str:
    """Return the digest of the safetensors form, hex."""
    digest = hashlib.sha256()
    for piece in pieces(params):
        digest.update(piece)
    return digest.hexdigest()


def from_bytes(content: bytes) -> Params:
    """Read the safetensors form; tensors are on the CPU and own their memory.

    Raises:
        WeightsError: the content is a pickle, cut short, no safetensors at all, or holds a NaN or an
            infinity.
    """
    _refuse_pickle(content)
    try:
        params = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise _unreadable(len(content), error) from error
    check_finite(params)
    return params


def write_file(path: Path, params: Params) -> None:
    """Write the safetensors form to `path` under a temporary name, fsync it, and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            for piece in pieces(params):
                file.write(piece)
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
    with path.open("rb") as file:
        _refuse_pickle(file.read(max(map(len, _PICKLE_OPENINGS))))
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            params = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise _unreadable(path.stat().st_size, error) from error
    check_finite(params)
    return params


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


def _refuse_pickle(opening: bytes) -> None:
    if opening.startswith(_PICKLE_OPENINGS):
        raise WeightsError(
            "expected safetensors, got a pickle (torch.save); pickles can run code and are never read: "
            "write the state_dict with safetensors.torch.save_file"
        )


def _unreadable(num_bytes: int, error: Exception) -> WeightsError:
    return WeightsError(
        f"expected a whole safetensors file, got {num_bytes} bytes, cut short or of another format "
        f"({error}); write the state_dict with safetensors.torch.save_file and send every byte"
    )


def _some(names: list[str]) -> str:
    """Return the first few names as text."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) + more) if names else "none"
