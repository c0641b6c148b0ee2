"""Tiles: paths, which tiles a tree has, and their bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.ledger import errors, merkle, tiles


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (tiles.Address(0, 1234067), "tile/0/x001/x234/067"),
        (tiles.Address(0, 1234, 17), "tile/0/x001/234.p/17"),
        (tiles.Address(None, 0), "tile/entries/000"),
        (tiles.Address(None, 999, 255), "tile/entries/999.p/255"),
        (tiles.Address(63, 1000, 1), "tile/63/x001/000.p/1"),
    ],
)
def test_path_is_spelled_as_specified(address, path):
    assert address.path == path
    assert tiles.parse_path(path) == address


@given(st.none() | st.integers(0, 63), st.integers(0, 10**12), st.integers(1, 256))
def test_every_address_survives_its_path(level, index, width):
    address = tiles.Address(level, index, width)

    assert tiles.parse_path(address.path) == address


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/",
        "tile/0/000.p/1\n",
        "/tile/0/000",
        "tile/0/000/",
        "tile/entries/../000",
        "tile/0/\u0661\u0661\u0661",
        "tile/0/" + "x001/" * 20 + "000",
    ],
)
def test_other_paths_are_refused(path):
    with pytest.raises(errors.MalformedTile):
        tiles.parse_path(path)


def test_tree_of_70000_has_the_tiles_of_the_specification():
    widths = {level: [a.width for a in tiles.addresses(level, 70_000)] for level in (None, 0, 1, 2, 3)}

    assert widths[None] == widths[0] == [256] * 273 + [112]
    assert widths[1] == [256, 17]
    assert widths[2] == [1]
    assert widths[3] == []


def test_tree_of_256_has_a_full_tile_and_one_above():
    assert [a.path for a in tiles.all_addresses(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


def test_empty_tree_has_no_tiles():
    assert list(tiles.all_addresses(0)) == []


@pytest.mark.parametrize("size", [1, 255, 256, 257, 70_000])
def test_tree_has_the_tiles_it_lists_and_none_beyond(size):
    assert all(address.is_in(size) for address in tiles.all_addresses(size))
    for level in (None, 0, 1, 2):
        num_full, width = divmod(tiles.width_of_level(level, size), 256)
        assert not tiles.Address(level, num_full, width + 1).is_in(size)


SIZE = 600
LEAVES = [merkle.leaf_hash(b"%d" % i) for i in range(SIZE)]
NODE = merkle.nodes_of(LEAVES)


def stored_tiles(size):
    return {
        (a.level, a.index): tiles.hash_tile(a, NODE) for a in tiles.all_addresses(size) if a.level is not None
    }


def test_leaf_tile_is_its_leaf_hashes():
    address = tiles.Address(0, 2, SIZE - 512)

    assert tiles.parse_hashes(tiles.hash_tile(address, NODE), address.width) == tuple(LEAVES[512:])


def test_upper_tile_is_the_roots_of_the_full_tiles_below():
    data = tiles.hash_tile(tiles.Address(1, 0, 2), NODE)

    assert data == merkle.tree_hash(LEAVES[:256]) + merkle.tree_hash(LEAVES[256:512])


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, SIZE])
def test_root_and_proofs_can_be_made_from_tiles_alone(size):
    stored = stored_tiles(size)
    node = tiles.nodes_of(lambda level, index: stored[level, index])

    assert merkle.root_of(size, node) == merkle.tree_hash(LEAVES[:size])
    for index in {0, size // 2, size - 1}:
        assert merkle.inclusion_proof(index, size, node) == merkle.inclusion_proof(index, size, NODE)


def test_tile_narrower_than_the_tree_is_noticed():
    node = tiles.nodes_of(lambda level, index: b"".join(LEAVES[:3]))

    with pytest.raises(errors.MalformedTile):
        merkle.root_of(4, node)


@pytest.mark.parametrize("num_bytes", [0, 31, 33, 64])
def test_tile_of_another_width_is_refused(num_bytes):
    with pytest.raises(errors.MalformedTile):
        tiles.parse_hashes(bytes(num_bytes), 1)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_entries_survive_their_bundle(entries):
    assert tiles.parse_bundle(tiles.bundle(entries)) == tuple(entries)


def test_entry_stands_behind_its_length_in_two_big_endian_bytes():
    assert tiles.bundle([b"ab", b"", b"c" * 258]) == b"\x00\x02ab\x00\x00\x01\x02" + b"c" * 258


def test_longest_entry_fits_and_one_byte_more_does_not():
    assert tiles.parse_bundle(tiles.bundle([bytes(65_535)])) == (bytes(65_535),)
    with pytest.raises(errors.EntryTooLarge):
        tiles.bundle([bytes(65_536)])


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\x00\x01a\x00"])
def test_bundle_cut_short_is_refused(data):
    with pytest.raises(errors.MalformedTile, match="whole"):
        tiles.parse_bundle(data)


def test_bundle_of_more_than_256_entries_is_refused():
    with pytest.raises(errors.MalformedTile, match="257"):
        tiles.parse_bundle(bytes(2 * 257))
