import numpy as np
import pytest

from snippets.stratify_batches import stratify_batches


def labels_of(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(7).permutation(labels)


CASES = [
    # Labels, batch size: one in a hundred; shares below one; odd numbers.
    (labels_of(9_900, 100), 1024),
    (labels_of(9_900, 100), 32),
    (labels_of(97, 3), 10),
    (labels_of(50, 30, 20), 7),
    (labels_of(5, 5), 100),
    (labels_of(8), 3),
]


@pytest.mark.parametrize("labels, batch_size", CASES)
def test_an_epoch_holds_every_example_once(labels, batch_size):
    batches = stratify_batches(labels, batch_size, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(len(labels)))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    assert 1 <= len(batches[-1]) <= batch_size


@pytest.mark.parametrize("labels, batch_size", CASES)
def test_each_batch_has_its_share_to_a_whole_number(labels, batch_size):
    allowed = 1 if len(np.unique(labels)) <= 2 else 2
    for seed in range(20):
        random = np.random.default_rng(seed)
        for batch in stratify_batches(labels, batch_size, random):
            for name in np.unique(labels):
                share = len(batch) * (labels == name).mean()
                found = (labels[batch] == name).sum()
                assert abs(found - share) < allowed + 0.05


def test_a_shuffled_order_does_not_pass_for_a_stratified_one():
    labels = labels_of(9_900, 100)
    random = np.random.default_rng(0)
    shuffled = random.permutation(len(labels))[:9216].reshape(-1, 1024)
    off = labels[shuffled].sum(axis=1) - 10.24
    assert np.abs(off).max() > 2


def test_a_rare_class_goes_to_as_many_small_batches_as_it_has_examples():
    labels = labels_of(9_900, 100)
    batches = stratify_batches(labels, 32, np.random.default_rng(1))
    assert sum(labels[batch].any() for batch in batches) == 100


def test_every_epoch_is_drawn_anew_and_a_seed_repeats_it():
    labels = labels_of(90, 10)
    random = np.random.default_rng(5)
    first, second = (stratify_batches(labels, 20, random) for _ in range(2))
    again = stratify_batches(labels, 20, np.random.default_rng(5))
    assert not np.array_equal(first[0], second[0])
    assert np.array_equal(first[0], again[0])
    # Each attack comes to each batch now and then.
    seen = {
        int(number)
        for _ in range(60)
        for number in stratify_batches(labels, 20, random)[0]
        if labels[number]
    }
    assert len(seen) == 10


@pytest.mark.parametrize(
    "labels, batch_size, said",
    [
        ([], 2, "shape \\(0,\\)"),
        ([[0, 1]], 2, "shape \\(1, 2\\)"),
        ([0, 1], 0, "batch_size is 0"),
        ([0, 1], 1.5, "batch_size is 1.5"),
        ([0, 1], float("inf"), "batch_size is inf"),
    ],
)
def test_what_gives_no_batches_is_refused(labels, batch_size, said):
    with pytest.raises(ValueError, match=said):
        stratify_batches(labels, batch_size, np.random.default_rng(0))
