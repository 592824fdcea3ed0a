"""check_batches finds what is odd about a loader, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.utils.data import DataLoader, TensorDataset

from snippets.check_batches import check_batches

LABELS = np.repeat(np.arange(10), 20)


def loader(labels=LABELS, batch_size=20, **options):
    labels = torch.tensor(labels)
    inputs = torch.arange(len(labels))
    torch.manual_seed(3)
    return DataLoader(TensorDataset(inputs, labels), batch_size, **options)


def dataset(labels=LABELS, batch_size=20, shuffle=True, **options):
    made = tf.data.Dataset.from_tensor_slices((np.arange(len(labels)), labels))
    if shuffle:
        made = made.shuffle(len(labels), seed=3)
    return made.batch(batch_size, **options)


@pytest.mark.parametrize("batches", [loader(shuffle=True), dataset()])
def test_shuffled_whole_batches_are_not_odd(batches):
    assert check_batches(batches) == []


@pytest.mark.parametrize("batches", [loader(), dataset(shuffle=False)])
def test_sorted_data_are_noticed(batches):
    order, classes = check_batches(batches)
    assert "same order" in order
    assert "1.0 classes" in classes and "sorted" in classes


def test_one_order_is_noticed_where_the_data_are_not_sorted():
    labels = np.random.default_rng(1).permutation(LABELS)
    (order,) = check_batches(loader(labels))
    assert "same order" in order


@pytest.mark.parametrize(
    "batches",
    [loader(batch_size=199, shuffle=True), dataset(batch_size=199)],
)
def test_one_example_left_over_is_noticed(batches):
    one, last = check_batches(batches)
    assert "one example" in one
    assert "holds 1 examples, the first 199" in last


def test_a_smaller_last_batch_is_noticed():
    (last,) = check_batches(loader(batch_size=30, shuffle=True))
    assert "holds 20 examples, the first 30" in last
    whole = loader(batch_size=30, shuffle=True, drop_last=True)
    assert check_batches(whole) == []


@pytest.mark.parametrize(
    "batches",
    [
        loader(batch_size=256, drop_last=True),
        dataset(batch_size=256, drop_remainder=True),
    ],
)
def test_no_batch_is_noticed(batches):
    (none,) = check_batches(batches)
    assert "no batch" in none


def test_data_of_one_class_are_not_called_sorted():
    assert check_batches(loader(0 * LABELS)) == []


def test_an_iterator_is_refused():
    with pytest.raises(ValueError, match="ends after one epoch"):
        check_batches(iter(loader()))


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(20, 1\)"):
        check_batches(loader(LABELS[:, None]))
