"""The batch takes over what the rate would have lost, as far as it can."""

import pytest

from snippets.grow_batch_size import grow_batch_size


def test_the_batch_grows_and_the_rate_stays():
    stages = grow_batch_size(16, [8, 12], 4, 4096)
    assert stages == [(0, 16, 1.0), (8, 64, 1.0), (12, 256, 1.0)]


def test_beyond_the_largest_the_rate_falls_instead():
    stages = grow_batch_size(16, [8, 12, 14], 4, 100)
    assert [size for _, size, _ in stages] == [16, 64, 100, 100]
    # Rate over batch size falls by the factor at each milestone, as asked.
    noise = [rate / size for _, size, rate in stages]
    for before, after in zip(noise, noise[1:]):
        assert before / after == pytest.approx(4)


def test_a_factor_that_is_no_whole_number_is_kept_by_the_rate():
    (_, first, _), (_, second, rate) = grow_batch_size(10, [3], 1.75, 100)
    assert (first, second) == (10, 17)
    assert rate / second == pytest.approx(1 / 17.5)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"factor": 1}, "factor=1 above 1"),
        ({"largest": 8}, "largest=8 must be at least batch_size=16"),
        ({"milestones": [8, 8]}, "must rise"),
        ({"milestones": [0]}, "from above 0"),
    ],
)
def test_bad_settings_are_refused_with_the_reason(change, said):
    settings = {
        "batch_size": 16,
        "milestones": [8, 12],
        "factor": 4,
        "largest": 4096,
    } | change
    with pytest.raises(ValueError, match=said):
        grow_batch_size(**settings)
