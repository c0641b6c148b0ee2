"""Walks autograd's graph from a result back to the tensors it was made of."""

from collections import Counter
from collections.abc import Collection, Iterable

from torch.autograd.graph import Node


def walk(starts: Iterable[Node | None], stops: Collection[Node] = ()) -> tuple[Counter[int], set[Node]]:
    """Follow the graph towards its leaves, but not past `stops`; past the starts in any case.

    Returns:
        How many operations take each leaf tensor, by its id, and the operations reached, starts included.
    """
    uses: Counter[int] = Counter()
    waiting = [node for node in starts if node is not None]
    reached = set(waiting)
    while waiting:
        for following, _ in waiting.pop().next_functions:
            variable = getattr(following, "variable", None)
            if variable is not None:
                uses[id(variable)] += 1
            elif following is not None and following not in reached:
                reached.add(following)
                if following not in stops:
                    waiting.append(following)
    return uses, reached


def furthest(nodes: Iterable[Node]) -> set[Node]:
    """Return those of the nodes behind which lies no other of them; who walks to these passes all."""
    every = set(nodes)
    return {node for node in every if walk([node], every)[1] & every == {node}}
