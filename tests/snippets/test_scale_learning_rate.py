"""Both rules, there and back; what is no rate, size or rule is refused."""

import math
import re

import pytest

from snippets.scale_learning_rate import scale_learning_rate


@pytest.mark.parametrize(
    ("rule", "expected"), [("linear", 0.8), ("root", 0.1 * math.sqrt(8))]
)
def test_the_rate_grows_with_the_batch_and_comes_back(rule, expected):
    larger = scale_learning_rate(0.1, 32, 256, rule)
    assert larger == pytest.approx(expected)
    assert scale_learning_rate(larger, 256, 32, rule) == pytest.approx(0.1)
    assert scale_learning_rate(0.1, 32, 32, rule) == 0.1


def test_the_linear_rule_keeps_the_distance_of_an_epoch():
    # With a constant gradient an epoch travels rate times updates.
    sizes = (16, 64, 1024)
    rates = [scale_learning_rate(0.1, 16, size, "linear") for size in sizes]
    distances = [rate * 4096 / size for rate, size in zip(rates, sizes)]
    assert distances == pytest.approx([0.1 * 256] * 3)


def test_the_root_keeps_the_noise_of_an_update():
    # The standard deviation of a mean of `size` independent numbers.
    sizes = (16, 64, 1024)
    rates = [scale_learning_rate(0.1, 16, size, "root") for size in sizes]
    noise = [rate / math.sqrt(size) for rate, size in zip(rates, sizes)]
    assert noise == pytest.approx([0.025] * 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, 32, 64, "root"), "learning_rate is 0; give a number above 0"),
        ((math.nan, 32, 64, "root"), "learning_rate is nan; give a number"),
        ((math.inf, 32, 64, "root"), "learning_rate is inf; give a number"),
        ((0.1, 0, 64, "root"), "batch_size is 0; give a whole number"),
        ((0.1, math.inf, 64, "root"), "batch_size is inf; give a whole"),
        ((0.1, 32, 6.4, "root"), "new_batch_size is 6.4; give a whole number"),
        ((0.1, 32, 64, "cubic"), 'rule is cubic; give "linear" or "root"'),
    ],
)
def test_bad_values_are_refused_with_the_reason(arguments, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        scale_learning_rate(*arguments)
