"""Ghost batches are batch normalisation of each part, in both frameworks."""

import keras
import numpy as np
import pytest
import torch
from keras import ops

from snippets.normalise_ghost_batches_keras import (
    normalise_ghost_batches_keras,
)
from snippets.normalise_ghost_batches_torch import (
    normalise_ghost_batches_torch,
)

BATCH_SIZE, FEATURES, EPSILON = 12, 3, 1e-3
GHOST_SIZES = [2, 3, 4, 12]


def case():
    random = np.random.default_rng(4)
    x = random.normal(2, 3, size=(BATCH_SIZE, FEATURES))
    return x, random.normal(size=FEATURES), random.normal(size=FEATURES)


def ours(framework, ghost_size, x, gamma, beta):
    if framework == "torch":
        found = normalise_ghost_batches_torch(
            *map(torch.tensor, (x, gamma, beta)), ghost_size, EPSILON
        )
        return [each.numpy() for each in found]
    found = normalise_ghost_batches_keras(
        *map(ops.convert_to_tensor, (x, gamma, beta)), ghost_size, EPSILON
    )
    return [ops.convert_to_numpy(each) for each in found]


def of_the_framework(framework, x, gamma, beta):
    """The layer that the framework has, in training mode."""
    if framework == "torch":
        layer = torch.nn.BatchNorm1d(FEATURES, eps=EPSILON).double()
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(gamma))
            layer.bias.copy_(torch.tensor(beta))
            return layer.train()(torch.tensor(x)).numpy()
    layer = keras.layers.BatchNormalization(epsilon=EPSILON, dtype="float64")
    layer.build(x.shape)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    return ops.convert_to_numpy(layer(x, training=True))


@pytest.mark.parametrize("framework", ["keras", "torch"])
@pytest.mark.parametrize("ghost_size", GHOST_SIZES)
def test_each_part_is_normalised_as_the_framework_does(framework, ghost_size):
    x, gamma, beta = case()
    expected = [
        of_the_framework(framework, part, gamma, beta)
        for part in np.split(x, BATCH_SIZE // ghost_size)
    ]
    normalised, means, variances = ours(framework, ghost_size, x, gamma, beta)
    np.testing.assert_allclose(normalised, np.concatenate(expected), atol=1e-9)
    parts = x.reshape(-1, ghost_size, FEATURES)
    np.testing.assert_allclose(means, parts.mean(axis=1))
    np.testing.assert_allclose(variances, parts.var(axis=1))


@pytest.mark.parametrize("ghost_size", GHOST_SIZES)
def test_the_frameworks_agree_on_values_and_gradients(ghost_size):
    import tensorflow as tf

    x, gamma, beta = case()
    for left, right in zip(
        ours("keras", ghost_size, x, gamma, beta),
        ours("torch", ghost_size, x, gamma, beta),
    ):
        np.testing.assert_allclose(left, right, atol=1e-12)
    inputs = torch.tensor(x, requires_grad=True)
    outputs, _, _ = normalise_ghost_batches_torch(
        inputs, torch.tensor(gamma), torch.tensor(beta), ghost_size, EPSILON
    )
    outputs.pow(3).sum().backward()
    twin = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(twin)
        outputs, _, _ = normalise_ghost_batches_keras(
            twin, gamma, beta, ghost_size, EPSILON
        )
        total = ops.sum(outputs**3)
    np.testing.assert_allclose(
        tape.gradient(total, twin).numpy(), inputs.grad.numpy(), atol=1e-9
    )


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_axes_in_front_are_separate_batches(framework):
    x, gamma, beta = case()
    both = ours(framework, 4, np.stack([x, 2 * x + 1]), gamma, beta)
    for number, each in enumerate((x, 2 * x + 1)):
        alone = ours(framework, 4, each, gamma, beta)
        for left, right in zip(both, alone):
            np.testing.assert_allclose(left[number], right, atol=1e-12)


@pytest.mark.parametrize("framework", ["keras", "torch"])
@pytest.mark.parametrize("ghost_size", [-1, 0, 5, 24])
def test_a_size_that_does_not_divide_is_refused(framework, ghost_size):
    with pytest.raises(ValueError, match=f"ghost_size={ghost_size} must"):
        ours(framework, ghost_size, *case())


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_an_empty_batch_is_refused(framework):
    x, gamma, beta = case()
    with pytest.raises(ValueError, match="batch of 0 examples"):
        ours(framework, 4, x[:0], gamma, beta)
