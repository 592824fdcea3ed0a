"""Each seed keeps its own examples, in order, in parts of the asked sizes."""

import numpy as np
import pytest

from snippets.stack_data_sets import stack_data_sets


def draw(seed):
    """Ten examples of two features, which say seed and number."""
    numbers = np.arange(10)
    return np.stack([np.full(10, seed), numbers], axis=1), numbers % 3


def test_parts_follow_each_other_for_every_seed():
    (x, y), (x_last, y_last) = stack_data_sets(draw, [5, 6, 7], [4, 3])
    assert x.shape == (3, 4, 2) and x_last.shape == (3, 3, 2)
    assert (x[:, :, 0] == [[5], [6], [7]]).all()
    assert (x[:, :, 1] == range(4)).all() and (
        x_last[:, :, 1] == [4, 5, 6]
    ).all()
    assert (y == [0, 1, 2, 0]).all() and (y_last == [1, 2, 0]).all()


def test_types_are_those_that_networks_take():
    ((x, y),) = stack_data_sets(draw, [1], [10])
    assert (x.dtype, y.dtype) == ("float32", "int64")


def test_too_few_examples_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="seed 2 gives 10 examples; the parts"):
        stack_data_sets(draw, [2], [8, 3])
