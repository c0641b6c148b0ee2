"""C2SP tlog-tiles: the log as a set of static files that never change.

A *hash tile* (level, index) holds up to 256 hashes of 32 bytes: on level 0 leaf hashes, on level l the
nodes of height 8 * l, from node index * 256 on. An *entry bundle* holds up to 256 entries, each behind its
length as two big-endian bytes. A tile is full or, at the right edge of a tree, partial: `.p/WIDTH`.

    tile/0/x001/x234/067       level 0, index 1234067, full
    tile/entries/000.p/17      the first 17 entries

Laws: `parse_path(a.path) == a`; `parse_bundle(bundle(entries)) == entries`; `parse_hashes` undoes joining.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from service.core.ledger import errors, merkle

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 2**16 - 1
"""The longest entry whose length fits its two bytes."""

TileReader = Callable[[int, int], bytes]
"""(level, index) -> the bytes of that hash tile, as wide as the tree has it."""

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_MAX_INDEX_PARTS = 6


@dataclass(frozen=True, slots=True)
class Address:
    """Which tile is meant.

    Attributes:
        level: 0 to 63 for hashes, None for an entry bundle.
        index: Its number within the level.
        width: How many hashes or entries it holds, 1 to 256.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's prefix."""
        level = "entries" if self.level is None else str(self.level)
        parts, rest = [f"{self.index % 1000:03d}"], self.index // 1000
        while rest:
            parts.insert(0, f"x{rest % 1000:03d}")
            rest //= 1000
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(parts)}{suffix}"

    @property
    def start(self) -> int:
        """Position within the level of its first hash or entry."""
        return self.index * TILE_WIDTH

    def is_in(self, size: int) -> bool:
        """Whether a tree of this size has this tile, at this width or wider."""
        return self.start + self.width <= width_of_level(self.level, size)


def parse_path(path: str) -> Address:
    """Read a tile's path.

    Raises:
        MalformedTile: It is not one, or not in its one spelling.
    """
    match = _PATH.fullmatch(path)
    if match is None or match["index"].count("/") >= _MAX_INDEX_PARTS:
        raise errors.MalformedTile("expected a path like tile/0/x001/234.p/17 or tile/entries/000")
    level = None if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    width = TILE_WIDTH if match["width"] is None else int(match["width"])
    address = Address(level, index, width)
    is_partial = match["width"] is not None
    if address.path != path or (level or 0) > MAX_LEVEL or (is_partial and width >= TILE_WIDTH):
        raise errors.MalformedTile("expected a tile path in its one spelling, level to 63 and width to 255")
    return address


def width_of_level(level: int | None, size: int) -> int:
    """How many hashes (or entries) a tree of this size has on this level."""
    return size >> (TILE_HEIGHT * (level or 0))


def addresses(level: int | None, size: int) -> Iterator[Address]:
    """The tiles that make up one level of a tree of this size, the partial one last."""
    num_full, width = divmod(width_of_level(level, size), TILE_WIDTH)
    yield from (Address(level, index) for index in range(num_full))
    if width:
        yield Address(level, num_full, width)


def all_addresses(size: int) -> Iterator[Address]:
    """Every file of a log of this size: entry bundles, then hash tiles level by level."""
    yield from addresses(None, size)
    yield from addresses(0, size)
    yield from upper_addresses(size)


def upper_addresses(size: int) -> Iterator[Address]:
    """The hash tiles above the leaves."""
    level = 1
    while width_of_level(level, size):
        yield from addresses(level, size)
        level += 1


def hash_tile(address: Address, node: merkle.NodeReader) -> bytes:
    """The bytes of a hash tile of a tree that has it."""
    height = TILE_HEIGHT * (address.level or 0)
    return b"".join(node(height, address.start + offset) for offset in range(address.width))


def parse_hashes(data: bytes, width: int) -> tuple[bytes, ...]:
    """The hashes of a tile.

    Raises:
        MalformedTile: It does not hold exactly `width` hashes.
    """
    if len(data) != width * merkle.HASH_BYTES:
        raise errors.MalformedTile(f"expected {width} hashes of 32 bytes, got {len(data)} bytes")
    return tuple(data[i : i + merkle.HASH_BYTES] for i in range(0, len(data), merkle.HASH_BYTES))


def nodes_of(read_tile: TileReader) -> merkle.NodeReader:
    """Read a tree's nodes out of its hash tiles: one tile a node, and at most 255 hashes made."""

    def node(height: int, index: int) -> bytes:
        level, rise = divmod(height, TILE_HEIGHT)
        tile, offset = divmod(index << rise, TILE_WIDTH)
        start, end = offset * merkle.HASH_BYTES, (offset + (1 << rise)) * merkle.HASH_BYTES
        return merkle.tree_hash(parse_hashes(read_tile(level, tile)[start:end], 1 << rise))

    return node


def bundle(entries: Iterable[bytes]) -> bytes:
    """The bytes of an entry bundle.

    Raises:
        EntryTooLarge: An entry is longer than 65,535 bytes.
    """
    parts = list[bytes]()
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise errors.EntryTooLarge(
                f"expected entries of at most {MAX_ENTRY_BYTES} bytes, got {len(entry)}"
            )
        parts += struct.pack(">H", len(entry)), entry
    return b"".join(parts)


def parse_bundle(data: bytes) -> tuple[bytes, ...]:
    """The entries of a bundle; how many there should be is the caller's to check.

    Raises:
        MalformedTile: The last entry is cut short, or there are more than 256.
    """
    entries, position = list[bytes](), 0
    while position < len(data):
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        if position > len(data):
            raise errors.MalformedTile(
                f"expected entry {len(entries)} of the bundle to be whole, got its beginning"
            )
        entries.append(data[start:position])
    if len(entries) > TILE_WIDTH:
        raise errors.MalformedTile(f"expected at most {TILE_WIDTH} entries in a bundle, got {len(entries)}")
    return tuple(entries)
