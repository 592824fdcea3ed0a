"""The share of the time that fetching costs, on loops of known cost."""

import time
from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from snippets.measure_input_share import measure_input_share


class Slow:
    """Batches that take so long to come; counts its epochs."""

    def __init__(self, seconds, count=100):
        self.seconds, self.count, self.epochs = seconds, count, 0

    def __iter__(self):
        self.epochs += 1
        for number in range(self.count):
            time.sleep(self.seconds)
            yield number


def sleep(batch):
    time.sleep(0.004)


def ignore(batch):
    pass


def test_fetching_and_training_in_turns_add_up():
    found = measure_input_share(Slow(0.008), sleep, 5, 6, 1)
    # Three times as long; a busy machine lengthens either part.
    assert 2 < found["ratio"] < 4.5
    assert found["low"] <= found["ratio"] <= found["high"]
    assert found["share"] == pytest.approx(1 - 1 / found["ratio"])
    assert found["seconds"].shape == found["ready_seconds"].shape == (6,)
    assert found["seconds"].min() >= 0.012
    assert found["ready_seconds"].min() >= 0.004


def test_batches_in_memory_cost_nothing():
    found = measure_input_share([1, 2, 3], sleep, 5, 6, 1)
    assert 0.6 < found["ratio"] < 1.6
    assert 0 <= found["share"] < 0.4


def test_the_first_batch_is_kept_apart():
    def batches():
        time.sleep(0.3)
        yield from range(100)

    found = measure_input_share(batches(), sleep, 4, 2, 0)
    assert found["first_seconds"] >= 0.3
    assert found["seconds"].max() < 0.1


def test_what_ends_begins_anew():
    batches = Slow(0.0, count=4)
    seen = []
    measure_input_share(batches, seen.append, 3, 2, 1)
    # The first, then twice one skipped, three fetched and three in memory.
    assert seen == [0, 1, 2, 3, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0]
    assert batches.epochs == 3


def test_more_updates_in_memory_do_not_change_their_time():
    seen = []
    found = measure_input_share([1, 2], seen.append, 1, 2, 0, num_ready=7)
    assert len(seen) == 1 + 2 * (1 + 7)
    found = measure_input_share([1], sleep, 2, 2, 0, num_ready=6)
    assert 0.5 < found["ratio"] < 2


def test_the_clock_waits_for_the_device():
    calls = []
    wait = partial(calls.append, 1)
    measure_input_share([1], ignore, 2, 3, 0, wait=wait)
    # Before and after the first batch and each of the two blocks.
    assert len(calls) == 2 + 3 * 4


def test_it_takes_a_loader_and_a_real_update():
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(64, 3), torch.randn(64, 1))
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = model.weight.detach().clone()

    def update(batch):
        x, y = batch
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()

    found = measure_input_share(DataLoader(data, 8), update, 10, 3)
    assert found["ratio"] > 0
    assert not torch.equal(model.weight, before)


def test_batches_that_end_are_refused():
    with pytest.raises(ValueError, match="ended after 3;.*not its iterator"):
        measure_input_share(iter([1, 2, 3]), ignore, 5, 1, 0)
    with pytest.raises(ValueError, match="ended after 0"):
        measure_input_share([], ignore)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"num_batches": 0}, "num_batches is 0; .* at least 1"),
        ({"num_repeats": 0}, "num_repeats is 0; .* at least 1"),
        ({"num_skipped": -1}, "num_skipped is -1; .* at least 0"),
        ({"num_ready": 0}, "num_ready is 0; .* at least 1"),
        ({"num_batches": 1.5}, "num_batches is 1.5; give a whole number"),
    ],
)
def test_numbers_it_cannot_use_are_refused(more, words):
    with pytest.raises(ValueError, match=words):
        measure_input_share([1], ignore, **more)
