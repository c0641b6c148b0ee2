"""Loss attack: how often forgotten and unseen samples of their classes are told apart, fold by fold."""

from tests.fixtures.audit_outputs import class_group, outputs, samples_group, spread, truth
from workers.audit.checks.loss_attack import CHECK
from workers.audit.outputs import Pair


def pair(labels, centre, seed):
    both = spread(labels, centre, seed)
    return Pair(both, both)


def check(centre, per_class=50):
    """The unseen are sure at 1, the forgotten at `centre`."""
    return CHECK.run(outputs(samples_group(pair(truth(per_class), centre, 1)), pair(truth(60), 1.0, 2)))


def test_samples_that_are_still_remembered_are_told():
    found = check(4.0)

    assert found.low > 0.5 and not found.passed


def test_samples_like_unseen_ones_are_not():
    found = check(1.0)

    assert found.low < 0.5 and found.passed


def test_samples_that_stand_out_as_forgotten_are_told():
    assert not check(-3.0).passed


def test_both_sides_count_the_same():
    found = check(1.0, per_class=10)

    assert " of 80 told rightly" in found.detail


def test_a_forgotten_class_is_held_against_its_own_unseen_samples():
    like_its_own = class_group(pair(truth(40, [3]), -6.0, 1), 3)
    unseen = Pair(*(2 * [spread(truth(40), 0.0, 2)]))
    own = unseen.new.labels == 3
    unseen.new.logits[own] = spread(truth(40, [3]), -6.0, 3).logits

    found = CHECK.run(outputs(like_its_own, unseen))

    assert " of 80 told rightly" in found.detail and found.passed


def test_a_handful_of_samples_is_too_few():
    one_class = pair([2, 2, 2, 2], 4.0, 1)

    assert CHECK.run(outputs(samples_group(one_class), pair(truth(60), 1.0, 2))) is None


def test_the_same_outputs_give_the_same_numbers():
    assert check(2.0) == check(2.0)
