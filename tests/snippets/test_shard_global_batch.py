"""Every example lies in one range, and the shares are fair."""

import re

import pytest

from snippets.shard_global_batch import shard_global_batch


@pytest.mark.parametrize("devices", [1, 2, 3, 8])
@pytest.mark.parametrize("largest", [2, 3, 16])
@pytest.mark.parametrize("size", [8, 9, 17, 64, 97])
def test_each_example_has_one_place(size, devices, largest):
    found = shard_global_batch(size, devices, largest)
    ranges = found["ranges"]
    assert len(ranges) == devices
    seen = [
        example
        for share in ranges
        for start, stop in share
        for example in range(start, stop)
    ]
    assert seen == list(range(size))
    lengths = [[stop - start for start, stop in share] for share in ranges]
    shares = [sum(share) for share in lengths]
    assert max(shares) - min(shares) <= 1
    assert max(shares) == found["device_batch_size"]
    assert {len(share) for share in lengths} == {found["accumulation_steps"]}
    # No more passes than are needed, none of them empty or too large.
    assert found["accumulation_steps"] == -(-max(shares) // largest)
    longest = max(max(share) for share in lengths)
    assert longest == found["micro_batch_size"] <= largest
    assert min(min(share) for share in lengths) >= 1


def test_a_batch_is_devices_times_steps_times_micro_batch():
    found = shard_global_batch(256, 4, 16)
    assert found == {
        "device_batch_size": 64,
        "accumulation_steps": 4,
        "micro_batch_size": 16,
        "ranges": [
            [(start, start + 16) for start in range(64 * d, 64 * d + 64, 16)]
            for d in range(4)
        ],
    }


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((0, 2, 4), "global_batch_size is 0; give a whole number"),
        ((8, 1.5, 4), "num_devices is 1.5; give a whole number"),
        ((8, 2, -1), "max_micro_batch_size is -1; give a whole number"),
        ((3, 4, 2), "global_batch_size=3 leaves some of num_devices=4"),
        ((5, 2, 1), "a device has 2 examples; give a multiple of 2"),
    ],
)
def test_bad_numbers_are_refused_with_the_reason(arguments, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        shard_global_batch(*arguments)
