"""Keeps what was loaded in memory, up to a number of bytes; what was used least recently goes first."""

from collections import OrderedDict
from collections.abc import Callable

from workers.numerics.params import Params


class Shelf:
    """Parameters by key, bounded by the bytes of their tensors.

    Args:
        capacity_bytes: Bound on the sum; something larger than all of it is handed on but not kept.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._size_bytes = 0
        self._kept: OrderedDict[str, Params] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """Bytes of all that is kept."""
        return self._size_bytes

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of what is kept, that used least recently first."""
        return tuple(self._kept)

    def get(self, key: str, load: Callable[[], Params]) -> Params:
        """Return what is kept under a key, or load it and keep it."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        params = load()
        self._kept[key] = params
        self._size_bytes += bytes_of(params)
        while self._size_bytes > self._capacity_bytes and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._size_bytes -= bytes_of(dropped)
        return params

    def clear(self) -> None:
        """Keep nothing any longer."""
        self._kept.clear()
        self._size_bytes = 0


def bytes_of(params: Params) -> int:
    """Return the memory of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in params.values())
