"""The examples of the package itself, in less time."""

import time

import numpy as np
import pytest
from mnist1d.data import get_dataset_args, make_dataset

from snippets.draw_mnist1d import draw_mnist1d


def of_the_package(num_examples, seed):
    arguments = get_dataset_args()
    arguments.seed, arguments.num_samples = seed, num_examples
    made = make_dataset(arguments)
    return [np.concatenate([made[key], made[f"{key}_test"]]) for key in "xy"]


@pytest.mark.parametrize("seed", [0, 42])
def test_a_seed_gives_the_very_examples_of_the_package(seed):
    x, y = draw_mnist1d(300, seed)
    expected_x, expected_y = of_the_package(300, seed)
    assert (y == expected_y).all()
    np.testing.assert_allclose(x, expected_x, rtol=0, atol=1e-12)
    assert x.shape == (300, 40)


def test_as_many_as_asked_for_of_the_next_multiple_of_ten():
    x, y = draw_mnist1d(23, 7)
    assert (x == draw_mnist1d(30, 7)[0][:23]).all()
    assert y.shape == (23,)


def test_it_is_much_faster_than_the_package():
    def seconds(draw):
        start = time.process_time()
        draw(400, 1)
        return time.process_time() - start

    assert min(seconds(draw_mnist1d) for _ in range(3)) < 0.25 * min(
        seconds(of_the_package) for _ in range(3)
    )


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="num_examples is 0; give at least 1"):
        draw_mnist1d(0, 1)
