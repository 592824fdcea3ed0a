import numpy as np
import pytest

from snippets.mean_interval import mean_interval


def test_interval_of_a_case_with_a_known_answer():
    # Student's t for four samples: 3.182 standard errors to each side.
    mean, low, high = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert high - mean == pytest.approx(3.1824 * np.sqrt(5 / 3 / 4), rel=1e-4)
    assert mean - low == pytest.approx(high - mean)


def test_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        _, low, high = mean_interval(random.normal(3, 2, size=12))
        hits += low <= 3 <= high
    assert 0.935 < hits / 2000 < 0.965


def test_ratio_and_its_inverse_say_the_same():
    samples = np.array([1.5, 2.0, 4.0])
    mean, low, high = mean_interval(samples, ratio=True)
    inverse = mean_interval(1 / samples, ratio=True)
    assert inverse == pytest.approx((1 / mean, 1 / high, 1 / low))


@pytest.mark.parametrize(
    "samples, ratio, said",
    [
        ([1.0], False, "at least two"),
        ([1.0, float("nan")], False, "finite"),
        ([1.0, 0.0], True, "not above 0"),
    ],
)
def test_bad_samples_are_refused_with_the_reason(samples, ratio, said):
    with pytest.raises(ValueError, match=said):
        mean_interval(samples, ratio=ratio)
