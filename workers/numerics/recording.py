"""Watches a forward pass for the places where parameters do their work, and marks them in autograd's graph.

A parameter works either in a call of a function that has a rule in `squares`, or in a spread: a tensor grown
from parameters alone (a position embedding, a class token, a layer scale, a table of biases read by index)
is added to, multiplied with or joined to what depends on the images. There it is replaced by copies of it,
one for each entry of the first axis, so that the gradient at the copies keeps the samples apart.

What escapes this may cost time, but never correctness: `coverage` decides from the graph.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from workers.numerics import attention
from workers.numerics.squares import OPERATIONS, Operation

_ELEMENTWISE = frozenset(
    {"add", "radd", "iadd", "sub", "rsub", "isub", "subtract", "mul", "rmul", "imul", "multiply", "div"}
    | {"truediv", "itruediv", "divide", "true_divide"}
)
_JOINING = frozenset({"cat", "concat", "concatenate"})


@dataclass(frozen=True)
class Call:
    """One call of a function that has a rule, with at least one parameter.

    Attributes:
        operation: the function's inputs and parameters, and its rule.
        edge: where the graph leaves the function, as it was before any operation in place.
        shape: of its output.
    """

    operation: Operation
    edge: GradientEdge
    shape: torch.Size


@dataclass(frozen=True)
class Spread:
    """One place where something grown from parameters alone meets the samples.

    Attributes:
        source: [...] or [1, ...], what was grown.
        edge: of its copies.
        shape: of its copies, [samples and perhaps more, ...].
    """

    source: Tensor
    edge: GradientEdge
    shape: torch.Size


Listener: TypeAlias = Callable[[int, Tensor], None]
"""(position of the record, gradient at its edge) -> nothing; the gradient is not to be changed."""


class Recorder(TorchFunctionMode):
    """Records, while it is active, one forward pass of a network.

    Args:
        network: whose parameters are watched; not changed.
        listener: called in a later backward pass with a record's position and the gradient at its edge, as
            soon as that is known, so that none needs to be kept.

    Attributes:
        records: in the order of the forward pass.
    """

    def __init__(self, network: nn.Module, listener: Listener | None = None) -> None:
        super().__init__()
        self.records: list[Call | Spread] = []
        self._listener = listener
        parameters = list(network.parameters())
        self._constant = _by_id([*network.buffers(), *(p for p in parameters if not p.requires_grad)])
        self._grown = _by_id(p for p in parameters if p.requires_grad)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func in OPERATIONS:
            return self._call(func, args, kwargs)
        if func is functional.multi_head_attention_forward:
            with self:
                written_out = attention.self_attention(*args, **kwargs)
            if written_out is not None:
                return written_out
        tensors = list(_tensors([*args, *kwargs.values()]))
        if any(id(tensor) in self._grown for tensor in tensors):
            if self._is_free_of_samples(tensors):
                return self._grow(func(*args, **kwargs))
            args = self._spread(func, args)
        return func(*args, **kwargs)

    def _call(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> object:
        operation = OPERATIONS[func](*args, **kwargs)
        if operation is None:
            return func(*args, **kwargs)
        weight, bias = operation.weight, operation.bias
        if func is functional.linear and weight is not None and bias is not None and self._is_made(bias):
            with self:
                return functional.linear(operation.inputs, weight) + bias
        output = func(*args, **kwargs)
        if not isinstance(output, Tensor) or not output.requires_grad:
            return output
        if self._is_free_of_samples([operation.inputs]):
            return self._grow(output)
        if not operation.parameters:
            return output
        # In place on a view, an operation replaces the view's node in the graph; on a copy it adds one after.
        kept = output.clone() if output._is_view() else output
        self._record(Call(operation, get_gradient_edge(kept), kept.shape), kept)
        return kept

    def _spread(self, func: Callable[..., Any], args: Sequence[Any]) -> Sequence[Any]:
        """Return the arguments with copies in place of what was grown from parameters."""
        full_name = getattr(func, "__name__", "")
        name = full_name.strip("_")
        is_in_place = full_name.startswith("__i") or (full_name.endswith("_") and full_name[-2:] != "__")
        if is_in_place and args and id(args[0]) in self._grown:
            return args  # whoever holds the tensor expects the result in it, not in its copies
        if name in _ELEMENTWISE:
            shape = torch.broadcast_shapes(*(tensor.shape for tensor in _tensors(args)))  # type: ignore[no-untyped-call]
            return [self._copies(arg, shape) for arg in args]
        if name in _JOINING and args and isinstance(args[0], list | tuple):
            return [[self._copies(part, part.shape) for part in args[0]], *args[1:]]
        return args

    def _copies(self, value: object, shape: torch.Size) -> object:
        """Return copies of `value` along the first axis of `shape`, or itself where that makes no sense."""
        if not isinstance(value, Tensor) or id(value) not in self._grown or not shape:
            return value
        missing = len(shape) - value.ndim
        source = value
        if missing == 0 and value.shape[0] > 1:
            if value.stride(0) != 0:
                return value
            source = value[:1]
        own = source.shape if missing == 0 else (*(1,) * missing, *value.shape)
        copies = source.expand(shape[0], *own[1:]).clone()
        self._record(Spread(source, get_gradient_edge(copies), copies.shape), copies)
        return copies

    def _record(self, record: Call | Spread, tensor: Tensor) -> None:
        if self._listener is not None:
            # On the tensor, not on its node: a hook on a node is left out where the backward pass ends.
            tensor.register_hook(partial(self._listener, len(self.records)))  # type: ignore[no-untyped-call]
        self.records.append(record)

    def _is_free_of_samples(self, tensors: Iterable[Tensor]) -> bool:
        return all(id(tensor) in self._grown or id(tensor) in self._constant for tensor in tensors)

    def _is_made(self, tensor: Tensor) -> bool:
        """Whether this was made of parameters and is none itself."""
        return id(tensor) in self._grown and not tensor.is_leaf

    def _grow(self, output: object) -> object:
        """Note that what a function gave was made of parameters alone."""
        self._grown |= _by_id(tensor for tensor in _tensors([output]) if tensor.requires_grad)
        return output


def _by_id(tensors: Iterable[Tensor]) -> dict[int, Tensor]:
    """Return the tensors by identity, kept alive so that no other takes it over."""
    return {id(tensor): tensor for tensor in tensors}


def _tensors(values: Iterable[object]) -> Iterator[Tensor]:
    """Yield the tensors among values and in the lists and tuples among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
