import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.utils.data import DataLoader, TensorDataset

from snippets.count_updates import count_updates

CASES = [
    # Examples, batch size, epochs: full batches, a partial one, all in one.
    (64, 16, 1),
    (70, 16, 2),
    (1600, 256, 1),
    (20, 20, 3),
    (20, 32, 2),
]


class CountBatches(keras.callbacks.Callback):
    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


def keras_count(data, num_epochs, **options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    counter = CountBatches()
    model.fit(
        *data,
        epochs=num_epochs,
        verbose=0,
        callbacks=[counter],
        **options,
    )
    return counter.batches, int(model.optimizer.iterations)


@pytest.mark.parametrize("examples, batch_size, epochs", CASES)
def test_it_is_what_keras_makes_of_arrays(examples, batch_size, epochs):
    x = np.zeros((examples, 1), "float32")
    counted = keras_count((x, x), epochs, batch_size=batch_size)
    wanted = count_updates(examples, batch_size, epochs)
    assert counted == (wanted, wanted)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.filterwarnings("ignore:.shuffle=True. was passed")
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("examples, batch_size, epochs", CASES)
def test_it_is_what_keras_makes_of_a_dataset(
    examples, batch_size, epochs, drop_last
):
    x = np.zeros((examples, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices((x, x))
    data = data.batch(batch_size, drop_remainder=drop_last)
    batches, _ = keras_count((data,), epochs)
    assert batches == count_updates(examples, batch_size, epochs, drop_last)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("examples, batch_size, epochs", CASES)
def test_it_is_what_a_data_loader_makes(
    examples, batch_size, epochs, drop_last
):
    loader = DataLoader(
        TensorDataset(torch.zeros(examples, 1)),
        batch_size=batch_size,
        shuffle=True,
        drop_last=drop_last,
    )
    updates = sum(1 for _ in range(epochs) for _ in loader)
    assert updates == count_updates(examples, batch_size, epochs, drop_last)


@pytest.mark.parametrize(
    "numbers, said",
    [
        ((0, 32), "num_examples is 0"),
        ((100, 0), "batch_size is 0"),
        ((100, -1), "batch_size is -1"),
        ((100, 32, 0), "num_epochs is 0"),
        ((100, 32.5), "batch_size is 32.5"),
    ],
)
def test_numbers_that_count_nothing_are_refused(numbers, said):
    with pytest.raises(ValueError, match=said):
        count_updates(*numbers)
