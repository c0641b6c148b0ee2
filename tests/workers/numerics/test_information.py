"""The information of the others is the whole less the asked classes', to the last digit that counts."""

import torch

from workers.numerics.information import ClassInformation

COUNTS = {0: 7, 1: 1300, 2: 3}


def means(*, dominant):
    """Fishers over many magnitudes; class 1 holds `dominant` times what the others do."""
    generator = torch.Generator().manual_seed(0)
    drawn = {c: {"w": 10 ** (8 * torch.rand(1000, generator=generator) - 12)} for c in COUNTS}
    drawn[1]["w"] *= dominant
    return drawn


def test_the_whole_is_the_weighted_sum_of_all_classes():
    own = means(dominant=1.0)

    whole = ClassInformation.of_means(own, COUNTS).whole()

    expected = sum(COUNTS[c] * own[c]["w"].double() for c in COUNTS)
    torch.testing.assert_close(whole["w"], expected, rtol=1e-15, atol=0)


def test_taking_a_class_away_keeps_the_others_even_where_it_holds_a_million_times_more():
    own = means(dominant=1e6)

    others = ClassInformation.of_means(own, COUNTS).without([1])

    expected = COUNTS[0] * own[0]["w"].double() + COUNTS[2] * own[2]["w"].double()
    # Float64 keeps 16 digits of the whole; the others hold the last three or more of them.
    median = ((others["w"] - expected).abs() / expected).median()
    assert float(median) < 1e-3 and bool((others["w"] >= 0).all())


def test_taking_classes_away_changes_nothing_that_was_given():
    own = means(dominant=1.0)
    information = ClassInformation.of_means(own, COUNTS)
    before = information.whole()["w"].clone()

    information.without([0, 1])

    assert torch.equal(information.whole()["w"], before)


def test_a_class_without_a_fisher_is_not_counted():
    information = ClassInformation.of_means({0: means(dominant=1.0)[0]}, COUNTS)

    assert dict(information.counts) == {0: 7} and information.num_samples == 7


def test_the_others_may_come_rounded_to_the_type_of_a_class_own():
    information = ClassInformation.of_means(means(dominant=1.0), COUNTS)

    exact, rounded = information.without([0, 2]), information.without([0, 2], is_rounded=True)

    assert exact["w"].dtype == torch.float64 and rounded["w"].dtype == torch.float32
    assert torch.equal(rounded["w"], exact["w"].float())


def test_taking_no_class_away_gives_new_tensors():
    whole = {"w": torch.ones(3, dtype=torch.float64)}
    information = ClassInformation({0: 1}, lambda label: {"w": torch.ones(3)}, lambda: whole)

    information.without([])["w"].zero_()

    assert torch.equal(whole["w"], torch.ones(3, dtype=torch.float64))
