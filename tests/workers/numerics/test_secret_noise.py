"""Secret noise: repeatable for its holder, another for every key and every weight, and normal."""

import pytest
import torch
from scipy import stats

from workers.numerics import secret_noise

KEY = b"k" * 32
WEIGHT = torch.arange(12, dtype=torch.float64).reshape(3, 4)


def test_the_same_key_and_weight_give_the_same_noise():
    first, second = (secret_noise.standard_normal(KEY, WEIGHT.clone()) for _ in range(2))

    assert torch.equal(first, second) and first.shape == WEIGHT.shape


@pytest.mark.parametrize(
    ("key", "weight"),
    [(b"l" * 32, WEIGHT), (KEY, WEIGHT + 1e-15 * (WEIGHT == 3)), (KEY, WEIGHT.reshape(4, 3))],
)
def test_another_key_weight_or_shape_gives_other_noise(key, weight):
    noise, other = secret_noise.standard_normal(KEY, WEIGHT), secret_noise.standard_normal(key, weight)

    assert not torch.isin(noise.flatten(), other.flatten()).any()


def test_the_draws_are_standard_normal():
    draws = secret_noise.standard_normal(KEY, torch.zeros(20_000, dtype=torch.float64))

    assert stats.kstest(draws.numpy(), "norm").pvalue > 0.01
    assert torch.isfinite(draws).all()


def test_a_key_that_could_be_guessed_is_refused():
    with pytest.raises(ValueError, match="at least 16 bytes"):
        secret_noise.standard_normal(b"seed 7", WEIGHT)
