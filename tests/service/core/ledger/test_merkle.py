"""The Merkle tree against the recursive definitions of RFC 6962 and its published roots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.ledger import errors, merkle

MAX_SIZE = 70
LEAVES = [merkle.leaf_hash(b"entry %d" % i) for i in range(MAX_SIZE)]
NODE = merkle.nodes_of(LEAVES)

# The entries and roots that RFC 6962 implementations share.
VECTOR_ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
VECTOR_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def slow_root(leaves):
    """MTH(D[n]), section 2.1."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = largest_power_below(len(leaves))
    return merkle.node_hash(slow_root(leaves[:k]), slow_root(leaves[k:]))


def slow_path(m, leaves):
    """PATH(m, D[n]), section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*slow_path(m, leaves[:k]), slow_root(leaves[k:])]
    return [*slow_path(m - k, leaves[k:]), slow_root(leaves[:k])]


def slow_subproof(m, leaves, is_whole):
    """SUBPROOF(m, D[n], b), section 2.1.2."""
    if m == len(leaves):
        return [] if is_whole else [slow_root(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*slow_subproof(m, leaves[:k], is_whole), slow_root(leaves[k:])]
    return [*slow_subproof(m - k, leaves[k:], False), slow_root(leaves[:k])]


def largest_power_below(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


@pytest.mark.parametrize(("size", "root"), list(enumerate(VECTOR_ROOTS, start=1)))
def test_roots_are_the_published_ones(size, root):
    leaves = [merkle.leaf_hash(entry) for entry in VECTOR_ENTRIES[:size]]

    assert merkle.tree_hash(leaves).hex() == root


def test_root_of_nothing_is_the_hash_of_nothing():
    assert merkle.tree_hash([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_published_consistency_proof_from_6_to_8_is_made_and_accepted():
    expected = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    old_root, root = bytes.fromhex(VECTOR_ROOTS[5]), bytes.fromhex(VECTOR_ROOTS[7])

    proof = merkle.consistency_proof(6, 8, merkle.nodes_of(map(merkle.leaf_hash, VECTOR_ENTRIES)))

    assert [sibling.hex() for sibling in proof] == expected
    merkle.verify_consistency(6, old_root, 8, root, proof)


@pytest.mark.parametrize("size", range(MAX_SIZE + 1))
def test_root_is_that_of_the_recursive_definition(size):
    expected = slow_root(LEAVES[:size])

    assert merkle.tree_hash(LEAVES[:size]) == expected
    assert merkle.root_of(size, NODE) == expected


@pytest.mark.parametrize("size", range(1, MAX_SIZE + 1))
def test_every_inclusion_proof_is_that_of_the_recursive_definition_and_holds(size):
    root = slow_root(LEAVES[:size])

    for index in range(size):
        proof = merkle.inclusion_proof(index, size, NODE)

        assert proof == slow_path(index, LEAVES[:size])
        merkle.verify_inclusion(LEAVES[index], index, size, proof, root)


@pytest.mark.parametrize("size", range(MAX_SIZE + 1))
def test_every_consistency_proof_is_that_of_the_recursive_definition_and_holds(size):
    root = merkle.root_of(size, NODE)

    for old_size in range(size + 1):
        proof = merkle.consistency_proof(old_size, size, NODE)

        assert proof == ([] if old_size == 0 else slow_subproof(old_size, LEAVES[:size], True))
        merkle.verify_consistency(old_size, merkle.root_of(old_size, NODE), size, root, proof)


@given(st.integers(0, MAX_SIZE), st.integers(0, MAX_SIZE))
def test_frontier_resumed_from_nodes_goes_on_as_if_never_stopped(stop, more):
    size = min(stop + more, MAX_SIZE)

    resumed = merkle.Frontier.at(stop, NODE).extend(LEAVES[stop:size])

    assert resumed == merkle.Frontier().extend(LEAVES[:size])
    assert resumed.root() == slow_root(LEAVES[:size])


def test_extending_a_frontier_leaves_it_as_it_was():
    frontier = merkle.Frontier().extend(LEAVES[:5])
    before = frontier.root()

    frontier.extend(LEAVES[5:])

    assert (frontier.size, frontier.root()) == (5, before)


@given(st.data())
def test_inclusion_of_anything_but_the_proven_leaf_is_refused(data):
    size = data.draw(st.integers(2, MAX_SIZE))
    index, other = data.draw(
        st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
    )
    proof, root = merkle.inclusion_proof(index, size, NODE), merkle.root_of(size, NODE)

    with pytest.raises(errors.NotIncluded):
        merkle.verify_inclusion(LEAVES[other], index, size, proof, root)
    with pytest.raises(errors.NotIncluded):
        merkle.verify_inclusion(LEAVES[index], other, size, proof, root)


@given(st.data())
def test_damaged_inclusion_proof_is_refused(data):
    size = data.draw(st.integers(2, MAX_SIZE))
    index = data.draw(st.integers(0, size - 1))
    proof = data.draw(damaged(merkle.inclusion_proof(index, size, NODE)))

    with pytest.raises(errors.NotIncluded):
        merkle.verify_inclusion(LEAVES[index], index, size, proof, merkle.root_of(size, NODE))


@given(st.data())
def test_damaged_consistency_proof_is_refused(data):
    size = data.draw(st.integers(2, MAX_SIZE))
    old_size = data.draw(st.integers(1, size - 1))
    old_root, root = merkle.root_of(old_size, NODE), merkle.root_of(size, NODE)
    proof = data.draw(damaged(merkle.consistency_proof(old_size, size, NODE)))

    with pytest.raises(errors.NotConsistent):
        merkle.verify_consistency(old_size, old_root, size, root, proof)


@given(st.data())
def test_rewritten_history_has_no_consistency_proof(data):
    size = data.draw(st.integers(2, MAX_SIZE))
    old_size = data.draw(st.integers(1, size))
    edited = data.draw(st.integers(0, old_size - 1))
    other = merkle.nodes_of(
        merkle.leaf_hash(b"edited") if i == edited else leaf for i, leaf in enumerate(LEAVES)
    )
    old_root, root = merkle.root_of(old_size, NODE), merkle.root_of(size, other)

    with pytest.raises(errors.NotConsistent):
        merkle.verify_consistency(
            old_size, old_root, size, root, merkle.consistency_proof(old_size, size, other)
        )


@pytest.mark.parametrize(("old_size", "old_root"), [(0, LEAVES[0]), (3, LEAVES[0])])
def test_trees_without_a_proof_between_them_must_have_the_known_root(old_size, old_root):
    with pytest.raises(errors.NotConsistent):
        merkle.verify_consistency(old_size, old_root, 3, merkle.root_of(3, NODE), [])


@pytest.mark.parametrize("old_size", [0, 3])
def test_proof_where_none_is_needed_is_refused(old_size):
    old_root, root = merkle.root_of(old_size, NODE), merkle.root_of(3, NODE)

    merkle.verify_consistency(old_size, old_root, 3, root, [])
    with pytest.raises(errors.NotConsistent):
        merkle.verify_consistency(old_size, old_root, 3, root, [root])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_index_outside_the_tree_is_refused(index, size):
    with pytest.raises(errors.OutOfTree):
        merkle.inclusion_proof(index, size, NODE)
    with pytest.raises(errors.OutOfTree):
        merkle.verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


def test_earlier_tree_cannot_be_the_larger():
    with pytest.raises(errors.OutOfTree):
        merkle.consistency_proof(5, 4, NODE)
    with pytest.raises(errors.OutOfTree):
        merkle.verify_consistency(5, LEAVES[0], 4, LEAVES[0], [])


def damaged(proof):
    """Proofs that differ from this one by a flipped bit, a hash less or a hash more."""
    place = st.integers(0, len(proof) - 1)
    flipped = st.builds(flip, st.just(proof), place, st.integers(0, 255))
    shorter = st.just(proof[:-1])
    longer = st.just([*proof, LEAVES[0]])
    return st.one_of(flipped, shorter, longer)


def flip(proof, place, bit):
    changed = bytearray(proof[place])
    changed[bit // 8] ^= 1 << (bit % 8)
    return [*proof[:place], bytes(changed), *proof[place + 1 :]]
