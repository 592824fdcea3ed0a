import math

import numpy as np
import pytest
from scipy import stats

from snippets.chance_without_class import chance_without_class

CASES = [
    # Batch size, examples, of the class.
    (1, 1, 0),
    (1, 1, 1),
    (1, 100, 1),
    (8, 10_000, 100),
    (32, 10_000, 100),
    (1024, 10_000, 100),
    (100, 10_000, 1024),
    (9_900, 10_000, 100),
    (9_901, 10_000, 100),
    (10_000, 10_000, 0),
    (256, 1_281_167, 1_300),
]


@pytest.mark.parametrize("batch_size, examples, of_class", CASES)
def test_it_is_the_hypergeometric_chance(batch_size, examples, of_class):
    wanted = stats.hypergeom.pmf(0, examples, of_class, batch_size)
    chance = chance_without_class(batch_size, examples, of_class)
    assert chance == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_it_is_a_quotient_of_whole_numbers():
    # All ways to fill the batch, and those that avoid the class.
    wanted = math.comb(80, 30) / math.comb(100, 30)
    assert chance_without_class(30, 100, 20) == pytest.approx(wanted, 1e-12)


def test_it_is_what_shuffled_epochs_give():
    random = np.random.default_rng(0)
    labels = np.arange(1000) < 10
    empty = np.array(
        [
            (~random.permutation(labels).reshape(-1, 50).any(axis=1)).mean()
            for _ in range(400)
        ]
    )
    error = empty.std() / np.sqrt(len(empty))
    assert abs(empty.mean() - chance_without_class(50, 1000, 10)) < 4 * error


def test_large_numbers_keep_their_digits_and_end_soon():
    # From the logarithm of each fraction, without a product.
    whole, drawn, rare = 10**12, 10_000, 10**7
    wanted = math.exp(
        math.fsum(math.log1p(-rare / (whole - k)) for k in range(drawn))
    )
    found = chance_without_class(drawn, whole, rare)
    assert found == pytest.approx(wanted, rel=1e-11)
    # Without an end before the last fraction, this would run for hours.
    assert chance_without_class(10**11, 10**12, 10**11) == 0


def test_a_class_larger_than_what_is_left_out_cannot_be_missed():
    assert chance_without_class(60, 100, 41) == 0
    assert chance_without_class(60, 100, 40) > 0
    assert chance_without_class(60, 100, 0) == 1


def test_whole_numbers_may_be_floats():
    assert chance_without_class(32.0, 1e4, np.int64(100)) == (
        chance_without_class(32, 10_000, 100)
    )


@pytest.mark.parametrize(
    "numbers, said",
    [
        ((0, 100, 1), "batch_size is 0; give a whole number of at least 1"),
        ((-1, 100, 1), "batch_size is -1"),
        ((2.5, 100, 1), "batch_size is 2.5"),
        ((32, 0, 0), "num_examples is 0"),
        ((32, -5, 0), "num_examples is -5"),
        ((32, 99.5, 1), "num_examples is 99.5"),
        ((32, 100, -1), "num_of_class is -1; .* at least 0"),
        ((32, 100, 0.5), "num_of_class is 0.5"),
        ((101, 100, 1), "batch_size is 101; the data hold only 100"),
        ((32, 100, 101), "num_of_class is 101; the data hold only 100"),
        ((math.nan, 100, 1), "batch_size is nan"),
        ((32, math.inf, 1), "num_examples is inf"),
        ((32, 100, math.inf), "num_of_class is inf"),
    ],
)
def test_numbers_that_are_no_batch_are_refused(numbers, said):
    with pytest.raises(ValueError, match=said):
        chance_without_class(*numbers)
