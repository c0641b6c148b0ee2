"""The Merkle tree of RFC 6962 (section 2.1): hashes, a frontier to append to, proofs made and checked.

Vocabulary. A *leaf hash* is H(0x00 || entry); a *node hash* is H(0x01 || left || right); H is SHA-256.
The *root* of n leaves splits them at the largest power of two below n. The *node* (height, index) is the
root of the complete subtree over leaves [index * 2**height, (index + 1) * 2**height); once written it
never changes, so every proof is made of nodes, and whoever can read nodes can make proofs.
The *frontier* of a tree is the roots of the complete subtrees that its size splits into, largest first:
all that is needed to go on appending.

Proofs are found and checked by the same walk from the root towards one leaf (`_walk`). The consistency
proof from m to n leaves is the inclusion path of leaf m - 1, cut where the subtree reached ends at m.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.core.ledger import errors

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves: the hash of nothing."""

NodeReader = Callable[[int, int], bytes]
"""(height, index) -> hash of that complete subtree; asked only for subtrees that lie inside the tree."""


def leaf_hash(entry: bytes) -> bytes:
    """H(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree reduced to what appending needs: its size, and one hash for each set bit of the size.

    Law: whoever keeps the tree's nodes may stop anywhere and go on with `Frontier.at`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    @classmethod
    def at(cls, size: int, node: NodeReader) -> "Frontier":
        """The frontier of the first `size` leaves of a tree whose nodes were kept."""
        return cls(size, tuple(node(height, index) for height, index in _subtrees(0, size)))

    def extend(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """The frontier after these leaf hashes were appended in order; this one is unchanged."""
        size, peaks = self.size, list(self.peaks)
        for node in leaf_hashes:
            ones = size
            while ones & 1:  # a complete subtree of the same size stands to the left: join them
                node = node_hash(peaks.pop(), node)
                ones >>= 1
            peaks.append(node)
            size += 1
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """The Merkle Tree Hash of everything appended so far."""
        return _fold(self.peaks)


def tree_hash(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    return Frontier().extend(leaf_hashes).root()


def nodes_of(leaf_hashes: Iterable[bytes]) -> NodeReader:
    """Hash every complete subtree once and keep all of them: two hashes a leaf, in memory."""
    levels = [list(leaf_hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return lambda height, index: levels[height][index]


def root_of(size: int, node: NodeReader) -> bytes:
    """The root of the first `size` leaves."""
    return _range_hash(0, size, node)


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1, the leaf's sibling first.

    Raises:
        OutOfTree: The index is not below the size.
    """
    _require_leaf(index, size)
    return [_range_hash(step.start, step.end, node) for step in _walk(index, size, is_cut=False).steps]


def consistency_proof(old_size: int, size: int, node: NodeReader) -> list[bytes]:
    """PROOF(old_size, D[size]) of RFC 6962 section 2.1.2; empty when either tree is empty or they are one.

    Raises:
        OutOfTree: The old size is larger than the size.
    """
    _require_order(old_size, size)
    if old_size in (0, size):
        return []
    walk = _walk(old_size - 1, size, is_cut=True)
    siblings = [_range_hash(step.start, step.end, node) for step in walk.steps]
    return siblings if walk.start == 0 else [_range_hash(walk.start, old_size, node), *siblings]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash stands at `index` of the tree with this size and root.

    Raises:
        OutOfTree: The index is not below the size.
        NotIncluded: The proof does not lead to the root.
    """
    _require_leaf(index, size)
    steps = _walk(index, size, is_cut=False).steps
    if len(proof) != len(steps):
        raise errors.NotIncluded(
            f"expected {len(steps)} hashes for leaf {index} of a tree of {size}, got {len(proof)}"
        )
    node = leaf
    for step, sibling in zip(steps, proof, strict=True):
        node = node_hash(sibling, node) if step.is_left else node_hash(node, sibling)
    if node != root:
        raise errors.NotIncluded(f"leaf {index} and its proof do not lead to the root of the tree of {size}")


def verify_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `size` leaves begins with the tree of `old_size` leaves.

    Raises:
        OutOfTree: The old size is larger than the size.
        NotConsistent: The proof does not lead to both roots.
    """
    _require_order(old_size, size)
    hashes = list(proof)
    if old_size in (0, size):
        expected_old = root if old_size == size else EMPTY_ROOT
        if hashes or old_root != expected_old:
            raise errors.NotConsistent(f"the roots at {old_size} and {size} leaves do not belong to one tree")
        return
    walk = _walk(old_size - 1, size, is_cut=True)
    if walk.start == 0:  # the old tree is itself a node: its root is known and left out of the proof
        hashes.insert(0, old_root)
    if len(hashes) != 1 + len(walk.steps):
        num_expected = len(walk.steps) + (walk.start != 0)
        raise errors.NotConsistent(
            f"expected {num_expected} hashes from {old_size} to {size} leaves, got {len(proof)}"
        )
    old_node = new_node = hashes[0]
    for step, sibling in zip(walk.steps, hashes[1:], strict=True):
        if step.is_left:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
        else:
            new_node = node_hash(new_node, sibling)
    if (old_node, new_node) != (old_root, root):
        raise errors.NotConsistent(f"the tree of {size} leaves does not begin with the tree of {old_size}")


@dataclass(frozen=True, slots=True)
class _Step:
    """One sibling on a path: the leaves [start, end) it covers, and on which side it stands."""

    start: int
    end: int
    is_left: bool


@dataclass(frozen=True, slots=True)
class _Walk:
    """A path from the root, told from its lower end: the first leaf it reached, then the siblings upwards."""

    start: int
    steps: tuple[_Step, ...]


def _walk(leaf: int, size: int, *, is_cut: bool) -> _Walk:
    """Walk from the root of `size` leaves to `leaf`, or cut it at the first subtree that ends with it."""
    start, end, steps = 0, size, list[_Step]()
    while end - start > 1 and not (is_cut and end == leaf + 1):
        middle = start + _split(end - start)
        if leaf < middle:
            steps.append(_Step(middle, end, is_left=False))
            end = middle
        else:
            steps.append(_Step(start, middle, is_left=True))
            start = middle
    return _Walk(start, tuple(reversed(steps)))


def _split(width: int) -> int:
    """The largest power of two below the width."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_hash(start: int, end: int, node: NodeReader) -> bytes:
    """MTH of the leaves [start, end), a range that a walk meets, so that its subtrees are nodes."""
    return _fold([node(height, index) for height, index in _subtrees(start, end)])


def _subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees, largest first, that the range splits into."""
    while start < end:
        height = (end - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def _fold(peaks: Sequence[bytes]) -> bytes:
    """Join the roots of complete subtrees, largest first, into the root of them all."""
    if not peaks:
        return EMPTY_ROOT
    *rest, root = peaks
    for peak in reversed(rest):
        root = node_hash(peak, root)
    return root


def _require_leaf(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise errors.OutOfTree(f"expected a leaf of the tree of {size}, got index {index}")


def _require_order(old_size: int, size: int) -> None:
    if not 0 <= old_size <= size:
        raise errors.OutOfTree(f"expected an earlier size than {size}, got {old_size}")
