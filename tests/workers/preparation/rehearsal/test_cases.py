"""What is rehearsed: all kinds early, the memorised by the bank's word, and nothing that leaves nothing."""

import numpy as np

from workers.audit.reference.bank import ReferenceBank
from workers.preparation.rehearsal import cases
from workers.preparation.rehearsal.record import CaseKind

NUM = 60
POSITIONS = 100 + np.arange(NUM)
LABELS = np.arange(NUM) % 3


def bank(gain: np.ndarray) -> ReferenceBank:
    """Two members, a pair; learning sample i raised its log odds by gain[i]."""
    is_in = np.stack([np.arange(NUM) % 2 == 0, np.arange(NUM) % 2 == 1], axis=1)
    none = np.empty(0, dtype=np.int64)
    return ReferenceBank(
        positions=POSITIONS,
        scores=np.where(is_in, gain[:, None], 0.0).astype(np.float32),
        is_in=is_in,
        members=np.array([0, 1]),
        control_positions=none,
        control_labels=none,
        control_scores=np.empty((0, 2), dtype=np.float32),
    )


def test_one_of_each_kind_comes_before_a_second_of_any() -> None:
    drawn = cases.draw(POSITIONS, LABELS, bank(np.arange(NUM, dtype=float)), seed=0)

    assert [case.kind for case in drawn[:3]] == [CaseKind.CLASS, CaseKind.SAMPLES, CaseKind.MEMORISED]
    assert sorted(case.label for case in drawn if case.kind is CaseKind.CLASS) == [0, 1, 2]
    assert len({case.name for case in drawn}) == len(drawn)


def test_a_class_is_all_of_its_training_samples() -> None:
    drawn = cases.draw(POSITIONS, LABELS, None, seed=0)

    for case in drawn:
        if case.kind is CaseKind.CLASS:
            assert case.positions.tolist() == POSITIONS[case.label == LABELS].tolist()


def test_memorised_groups_are_those_that_learning_raised_most() -> None:
    gain = np.zeros(NUM)
    gain[[3, 8, 21, 34, 47, 50, 51, 52, 53, 54]] = 5.0

    drawn = cases.draw(POSITIONS, LABELS, bank(gain), seed=0)

    memorised = np.concatenate([case.positions for case in drawn if case.kind is CaseKind.MEMORISED])
    assert {*memorised} == {*POSITIONS[gain > 0]}


def test_without_a_bank_nobody_can_tell_what_is_memorised() -> None:
    assert {case.kind for case in cases.draw(POSITIONS, LABELS, None, seed=0)} == {
        CaseKind.CLASS,
        CaseKind.SAMPLES,
    }


def test_a_sample_that_every_member_learned_is_not_called_memorised() -> None:
    everywhere = bank(np.ones(NUM))
    everywhere.is_in[0] = True

    assert np.isnan(cases.memorised(everywhere)[0])
    drawn = cases.draw(POSITIONS, LABELS, everywhere, seed=0)
    assert POSITIONS[0] not in [
        p for case in drawn if case.kind is CaseKind.MEMORISED for p in case.positions
    ]


def test_a_model_of_one_class_and_few_samples_has_nothing_to_rehearse() -> None:
    assert cases.draw(POSITIONS[:4], np.zeros(4, dtype=np.int64), None, seed=0) == []


def test_the_same_seed_draws_the_same_groups() -> None:
    first, again, other = (
        [case.positions.tolist() for case in cases.draw(POSITIONS, LABELS, None, seed=seed)]
        for seed in (0, 0, 1)
    )

    assert first == again != other
