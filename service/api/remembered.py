"""Values that a process remembers: trusted while it hears of their changes, and never for long.

A value may be used without asking the database when three things hold: the news line was open when its
reading began and has been ever since, no change of anything was heard meanwhile, and its reading began less
than `seconds` ago. So a value is behind the database by the time a notice takes (a millisecond or two), and
by `seconds` at the very most, whatever is lost on the way: a line that is dead and does not know it, a pooler
that swallows LISTEN, a hand that changes rows and tells nobody.

A reading that was under way when a change was heard is answered to those who wait for it, and not kept. A
caller whom memory cannot serve gets a value that was read after he asked (`SharedReads`); so whoever is woken
by a change, which is forgotten before he is woken, sees it. Failures are never remembered.

Not for threads: used in the event loop alone.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from service.api.shared_reads import SharedReads

T = TypeVar("T")


class Remembered(Generic[T]):
    """Values by key. It hears news itself, of the keys that changed.

    Args:
        read: Returns the present value of a key, or raises.
        seconds: How old a value may become.
        limit: How many are kept; the one that was kept longest goes first.
    """

    def __init__(self, read: Callable[[str], Awaitable[T]], *, seconds: float, limit: int) -> None:
        self.seconds = seconds
        self._read = read
        self._limit = limit
        self._reads = SharedReads(self._read_and_keep)
        self._kept: dict[str, tuple[float, T]] = {}  # when its reading began, and what was read
        self._is_hearing = False
        self._num_changes = 0

    def peek(self, key: str) -> T | None:
        """Return the value if memory may be trusted with it, else None."""
        kept = self._kept.get(key)
        if kept is None or monotonic() - kept[0] >= self.seconds:
            return None
        return kept[1]

    async def get(self, key: str) -> T:
        """Return the value from memory or read anew, joined with others; raise what reading raised."""
        kept = self.peek(key)
        return await self._reads.get(key) if kept is None else kept

    def forget_all(self) -> None:
        """Trust nothing that was read before."""
        self._num_changes += 1
        self._kept.clear()

    def heard(self, subject: str) -> None:
        """Forget the value of one key, and let no reading that is under way be kept."""
        self._num_changes += 1
        self._kept.pop(subject, None)

    def line_opened(self) -> None:
        """Keep what is read from here on."""
        self._is_hearing = True
        self.forget_all()

    def line_lost(self) -> None:
        """Forget everything, and keep nothing."""
        self._is_hearing = False
        self.forget_all()

    async def _read_and_keep(self, key: str) -> T:
        num_changes, began = self._num_changes, monotonic()
        value = await self._read(key)
        if self._is_hearing and num_changes == self._num_changes:
            self._kept.pop(key, None)  # so that it stands last
            while len(self._kept) >= self._limit:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (began, value)
        return value
