"""Which models a worker's engine has in memory, as far as the worker can tell: the last that it worked on.

The engine keeps what was used last, as much as fits (`workers.engine.shelf`), and a new engine has nothing.
What is told here decides only which job a worker takes first, so a guess will do.
"""

import uuid

NUM_MODELS = 8
"""A model that was used before this many others is taken to be gone."""


class AtHand:
    """The models of the present engine."""

    def __init__(self) -> None:
        self._engine_pid: int | None = None
        self._models: list[uuid.UUID] = []

    def note(self, model_id: uuid.UUID, engine_pid: int | None) -> None:
        """Remember that an engine has just worked on a model."""
        others = [one for one in self.models(engine_pid) if one != model_id]
        self._engine_pid = engine_pid
        self._models = [*others, model_id][-NUM_MODELS:] if engine_pid is not None else []

    def models(self, engine_pid: int | None) -> tuple[uuid.UUID, ...]:
        """Return what an engine has in memory, by its process id; None has nothing."""
        if engine_pid is None or engine_pid != self._engine_pid:
            return ()
        return tuple(self._models)
