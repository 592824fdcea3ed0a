"""The largest batch fits, one example more does not."""

import math
import re

import pytest

from snippets.predict_memory import predict_memory


@pytest.mark.parametrize("fixed", [0, 0.1, 21.17, 1660])
@pytest.mark.parametrize("per_example", [0.0174, 0.3, 318])
@pytest.mark.parametrize("memory", [1700, 4294.967296])
def test_the_largest_batch_is_the_largest(fixed, per_example, memory):
    largest = predict_memory(fixed, per_example, 1, memory)["largest_batch"]
    if largest:
        found = predict_memory(fixed, per_example, largest, memory)
        assert found["needed"] <= memory * (1 + 1e-12)
    more = predict_memory(fixed, per_example, largest + 1, memory)
    assert more["needed"] > memory


def test_where_nothing_is_left_no_example_fits():
    for memory in (0, 99, 100, 104.9):
        assert predict_memory(100, 5, 1, memory)["largest_batch"] == 0
    assert predict_memory(100, 5, 1, 105)["largest_batch"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1, 5, 64, 8000), "fixed is -1; give a number of at least 0"),
        ((100, 5, 64, math.nan), "memory is nan; give a number of at least 0"),
        ((100, 0, 64, 8000), "per_example is 0; give a number above 0"),
        ((100, 5, 0, 8000), "batch_size is 0; give a whole number"),
        ((100, 5, math.inf, 8000), "batch_size is inf; give a whole number"),
    ],
)
def test_bad_numbers_are_refused_with_the_reason(arguments, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        predict_memory(*arguments)
