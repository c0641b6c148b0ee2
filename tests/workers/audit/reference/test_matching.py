"""z and matches, against the definition written out sample by sample."""

import numpy as np
import pytest

from tests.fixtures import reference_banks
from workers.audit.reference import matching


def slowly(bank, sample, controls, new, control_new):
    """Return z of a sample and of its matches, straight from the definition."""
    out = [k for k in range(len(bank)) if not bank.is_in[sample, k]]

    def z(score, scores):
        own = np.array([scores[k] for k in out], dtype=np.float64)
        return (score - own.mean()) / (own.std(ddof=1) + matching.FLOOR)

    mean = bank.scores[sample, out].astype(np.float64).mean()
    means = {c: bank.control_scores[c, out].astype(np.float64).mean() for c in controls}
    nearest = sorted(controls, key=lambda c: abs(means[c] - mean))[: matching.NUM_MATCHED]
    return z(new, bank.scores[sample]), {c: z(control_new[c], bank.control_scores[c]) for c in nearest}


def test_z_and_matches_are_those_of_the_definition():
    made = reference_banks.world(num_samples=30, num_rows=60)
    new = made.says(0, np.arange(30))
    samples, controls = np.array([3, 17, 29]), np.arange(240)

    matched = matching.match(made.bank, samples, controls)

    for place, sample in enumerate(samples):
        z, matches = slowly(made.bank, sample, controls, new.samples[sample], new.controls)
        assert matched.z(new.samples[samples])[place] == pytest.approx(z)
        found = dict(zip(matched.controls[place], matched.control_z(new.controls)[place], strict=True))
        assert found == pytest.approx(matches)


def test_members_are_held_against_the_same_matches():
    made = reference_banks.world(num_samples=30, num_rows=60)

    matched = matching.match(made.bank, np.array([5]), np.arange(240))

    _, matches = slowly(made.bank, 5, range(240), 0.0, made.bank.control_scores[:, 2].astype(np.float64))
    assert matched.member_excess[0, 2] == pytest.approx(
        matched.member_z[0, 2] - np.mean(list(matches.values())), abs=1e-6
    )


def test_many_samples_are_matched_in_blocks_as_they_are_at_once(monkeypatch):
    made = reference_banks.world(num_samples=30, num_rows=60)
    at_once = matching.match(made.bank, np.arange(30), np.arange(240))

    monkeypatch.setattr(matching, "BLOCK", 500)
    in_blocks = matching.match(made.bank, np.arange(30), np.arange(240))

    assert in_blocks.controls.tolist() == at_once.controls.tolist()
    np.testing.assert_allclose(in_blocks.member_excess, at_once.member_excess)


def test_controls_of_one_held_out_row_are_known_as_such():
    made = reference_banks.world(num_samples=4, num_rows=60)

    matched = matching.match(made.bank, np.arange(4), np.arange(240))

    assert (matched.rows == matched.controls // reference_banks.NUM_LABELS).all()


def test_few_controls_leave_half_of_them_as_matches():
    made = reference_banks.world(num_samples=4, num_rows=60)

    assert matching.match(made.bank, np.arange(4), np.arange(10)).controls.shape == (4, 5)
