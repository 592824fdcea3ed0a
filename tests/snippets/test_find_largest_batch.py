"""The search against limits that are known, and errors of all kinds."""

import pytest
import tensorflow as tf
import torch

from snippets.find_largest_batch import find_largest_batch

ERRORS = {
    "python": MemoryError(),
    "torch on a gpu": torch.cuda.OutOfMemoryError("CUDA out of memory."),
    "torch on a cpu": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: "
        "can't allocate memory: you tried to allocate 9 bytes."
    ),
    "tensorflow": tf.errors.ResourceExhaustedError(None, None, "OOM"),
}


def trial(limit, error=None, seen=None):
    def try_batch(batch_size):
        if seen is not None:
            seen.append(batch_size)
        if batch_size > limit:
            raise error or MemoryError()

    return try_batch


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("limit", [1, 2, 3, 100, 128, 129, 999, 1000])
def test_the_limit_is_found_whatever_the_error(limit, error):
    assert find_largest_batch(trial(limit, error), 1000) == min(limit, 1000)


def test_a_model_that_really_runs_out_is_recovered_from():
    model = torch.nn.Linear(4, 4)

    def try_batch(batch_size):
        # More than a process can address, from a size of 8 on.
        size = 2**45 if batch_size >= 8 else batch_size
        model(torch.empty(size, 4)).sum().backward()

    assert find_largest_batch(try_batch, 100) == 7
    try_batch(7)


def test_a_keras_model_that_raises_is_recovered_from():
    def try_batch(batch_size):
        if batch_size > 20:
            tf.zeros([2**31, 2**20])

    assert find_largest_batch(try_batch, 64) == 20


def test_few_tries_and_multiples_only():
    seen = []
    assert find_largest_batch(trial(1000, seen=seen), 10**6) == 1000
    assert len(seen) <= 2 * 20 and len(set(seen)) == len(seen)
    seen = []
    found = find_largest_batch(trial(1000, seen=seen), 5000, 10, multiple_of=16)
    assert found == 992
    assert all(size % 16 == 0 and 10 <= size <= 5000 for size in seen)


def test_the_tensors_of_a_failed_try_are_gone():
    import gc
    import weakref

    kept = []

    def try_batch(batch_size):
        big = torch.zeros(batch_size)
        kept.append(weakref.ref(big))
        if batch_size > 4:
            raise MemoryError

    assert find_largest_batch(try_batch, 16) == 4
    gc.collect()
    assert all(each() is None for each in kept)


def test_other_errors_are_passed_on():
    with pytest.raises(RuntimeError, match="shapes"):
        find_largest_batch(trial(4, RuntimeError("shapes differ")), 10)
    with pytest.raises(KeyError):
        find_largest_batch(trial(4, KeyError("x")), 10)


def test_nothing_fits():
    with pytest.raises(MemoryError, match="even batch size 8"):
        find_largest_batch(trial(4), 100, smallest=8)


@pytest.mark.parametrize(
    "sizes, said",
    [
        ({"largest": 0}, "largest=0"),
        ({"largest": 5, "smallest": 0}, "smallest=0"),
        ({"largest": 5, "smallest": 6}, "leave no multiple"),
        ({"largest": 5, "multiple_of": 8}, "multiple of 8"),
        ({"largest": 5, "multiple_of": 0}, "multiple_of=0 must be"),
    ],
)
def test_bad_sizes_are_refused_with_the_reason(sizes, said):
    with pytest.raises(ValueError, match=said):
        find_largest_batch(trial(4), **sizes)
