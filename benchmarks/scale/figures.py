"""One measured unit cost: its repeats, and the line that a machine reads of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: of it.
        values: of each repeat; the median is what counts, lowest and highest are its range.
        unit: of the values.
        goal: such as `<= 8`; empty for what is only told.
    """

    name: str
    values: Sequence[float]
    unit: str
    goal: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return float(np.median(self.values))

    @property
    def is_missed(self) -> bool:
        """Whether a goal is missed."""
        if not self.goal:
            return False
        sign, bound = self.goal.split()
        return self.value > float(bound) if sign == "<=" else self.value < float(bound)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        return (
            f"figure scale_{self.name} value={self.value:.6g} low={low:.6g} high={high:.6g} "
            f"unit={self.unit} goal={self.goal or 'none'}"
        )
