import math

import pytest

from snippets.keep_half_life import keep_half_life


def half_life(beta, batch_size):
    """Examples after which an average has forgotten half."""
    updates = math.log(0.5) / math.log(beta)
    return updates * batch_size


@pytest.mark.parametrize("batch_size", [1, 4, 64, 512, 2048])
def test_the_half_life_in_examples_stays(batch_size):
    beta = keep_half_life(0.95, 512, batch_size)
    assert 0 < beta < 1
    assert half_life(beta, batch_size) == pytest.approx(half_life(0.95, 512))


def test_the_reference_keeps_its_beta():
    assert keep_half_life(0.999, 32, 32) == 0.999


def test_it_is_the_published_example():
    # 0.95 at 512 sequences becomes about 0.9999 at one.
    assert keep_half_life(0.95, 512, 1) == pytest.approx(0.9999, abs=1e-5)


def test_an_average_forgets_after_as_many_examples():
    # Weight of what came before 640 examples, whatever the batch size.
    left = [keep_half_life(0.9, 64, size) ** (640 / size) for size in (1, 16)]
    assert left == pytest.approx([0.9**10, 0.9**10])


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((0.0, 64, 1), "beta is 0.0"),
        ((1.0, 64, 1), "beta is 1.0"),
        ((float("nan"), 64, 1), "beta is nan"),
        ((0.95, 0, 1), "reference_batch_size is 0"),
        ((0.95, 64, 0), "^batch_size is 0"),
        ((0.95, 64, -8), "^batch_size is -8"),
    ],
)
def test_numbers_out_of_bounds_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        keep_half_life(*arguments)
