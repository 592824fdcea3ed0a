"""The hyperbola between its two ends, and what is refused."""

import math
import re

import pytest

from snippets.predict_updates import predict_updates


def test_at_the_critical_size_both_are_twice_their_least():
    found = predict_updates(64, 1000, 64)
    fewest_examples = predict_updates(1, 1000, 64)["examples"]
    assert found == {"updates": 2000, "examples": 128_000}
    # The least is that of a batch which goes to 0; of 1 it is nearly that.
    assert found["examples"] / fewest_examples == pytest.approx(2, rel=0.02)


def test_far_below_it_examples_stay_and_far_above_it_updates_do():
    small = [predict_updates(size, 1000, 1e6) for size in (1, 2, 4)]
    assert [each["examples"] for each in small] == pytest.approx(
        [1e9] * 3, rel=1e-5
    )
    large = [predict_updates(size, 1000, 64) for size in (10**6, 10**7)]
    assert [each["updates"] for each in large] == pytest.approx(
        [1000] * 2, rel=1e-3
    )


@pytest.mark.parametrize("size", [1, 8, 64, 4096])
def test_it_is_the_product_that_the_source_gives(size):
    found = predict_updates(size, 1000, 64)
    updates, examples = found["updates"] / 1000, found["examples"] / 64_000
    assert (updates - 1) * (examples - 1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, 1000, 64), "batch_size is 0; give a whole number of at least 1"),
        ((1.5, 1000, 64), "batch_size is 1.5; give a whole number"),
        ((math.nan, 1000, 64), "batch_size is nan; give a whole number"),
        ((32, 0, 64), "min_updates is 0; give a number above 0"),
        ((32, 1000, math.inf), "critical_batch_size is inf; give a number"),
    ],
)
def test_bad_numbers_are_refused_with_the_reason(arguments, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        predict_updates(*arguments)
