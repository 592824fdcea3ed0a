"""An embedding trains as its product with one-hot vectors does."""

import keras
import numpy as np
import pytest
from keras import ops

from snippets.sum_embedding_gradients_keras import (
    sum_embedding_gradients_keras,
)

NUM_TOKENS = 4
# The first token comes three times, the last not at all.
TOKENS = np.array([[0, 0, 1], [0, 2, 2]])
TARGETS = np.array([[1.0], [-2.0]], dtype="float32")


def one_hot(tokens):
    return ops.one_hot(tokens, NUM_TOKENS)


def table_after(optimizer, look_up, num_updates=3):
    """The table of a tiny model after some updates by `fit`."""
    random = np.random.default_rng(5)
    inputs = keras.Input((3,), dtype="int32")
    if look_up:
        layer = keras.layers.Embedding(NUM_TOKENS, 2)
        hidden = layer(inputs)
    else:
        layer = keras.layers.Dense(2, use_bias=False)
        hidden = layer(keras.layers.Lambda(one_hot)(inputs))
    head = keras.layers.Dense(1)
    outputs = head(keras.layers.Flatten()(hidden))
    model = keras.Model(inputs, outputs)
    layer.set_weights([random.normal(size=(NUM_TOKENS, 2))])
    head.set_weights([random.normal(size=(6, 1)), np.zeros(1)])
    model.compile(optimizer, "mse")
    model.fit(TOKENS, TARGETS, batch_size=2, epochs=num_updates, verbose=0)
    return layer.get_weights()[0]


@pytest.mark.parametrize("kind", ["Adam", "RMSprop", "Adagrad", "SGD"])
def test_a_look_up_trains_as_a_product(kind):
    def optimizer():
        return getattr(keras.optimizers, kind)(0.1)

    right = table_after(optimizer(), look_up=False)
    summed = table_after(
        sum_embedding_gradients_keras(optimizer()), look_up=True
    )
    np.testing.assert_allclose(summed, right, rtol=1e-4, atol=1e-6)
    # And without it, where squares are taken, it does not.
    plain = table_after(optimizer(), look_up=True)
    assert (kind == "SGD") == np.allclose(plain, right, rtol=1e-4)


def test_the_same_optimizer_comes_back():
    optimizer = keras.optimizers.Adam()
    assert sum_embedding_gradients_keras(optimizer) is optimizer


def test_a_variable_without_gradient_is_passed_over():
    optimizer = sum_embedding_gradients_keras(keras.optimizers.SGD(1.0))
    used, unused = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer.apply([ops.ones(1), None], [used, unused])
    assert float(used.value[0]) == 0 and float(unused.value[0]) == 1


def test_a_name_is_refused():
    with pytest.raises(ValueError, match="'adam'; give a keras optimizer"):
        sum_embedding_gradients_keras("adam")
