"""Checkpoints keep less and leave outputs and gradients as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

from snippets.checkpoint_activations_keras import checkpoint_activations_keras
from snippets.checkpoint_activations_torch import checkpoint_activations_torch
from snippets.estimate_memory_keras import estimate_memory_keras

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
Y = np.zeros(6, "int64")


def torch_model():
    torch.manual_seed(0)
    blocks = [
        nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 5))
        for _ in range(3)
    ]
    return nn.Sequential(*blocks, nn.Linear(5, 2))


def keras_model():
    keras.utils.set_random_seed(0)
    blocks = [
        keras.Sequential(
            [
                keras.Input((5,)),
                keras.layers.Dense(9, "relu"),
                keras.layers.Dense(5),
            ]
        )
        for _ in range(3)
    ]
    return keras.Sequential([keras.Input((5,)), *blocks, keras.layers.Dense(2)])


def test_torch_keeps_less_and_gives_the_same_gradient():
    found = []
    for wrap in (False, True):
        model = torch_model()
        if wrap:
            assert checkpoint_activations_torch(model, model[:3]) is model
        saved = []
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, saved=saved: saved.append(tensor.numel()) or tensor,
            lambda tensor: tensor,
        ):
            loss = model(torch.tensor(X)).square().sum()
        count = sum(saved)
        loss.backward()
        found.append((count, loss, [each.grad for each in model.parameters()]))
    assert found[1][0] < found[0][0] / 2
    assert torch.equal(found[0][1], found[1][1])
    for one, other in zip(found[0][2], found[1][2]):
        assert torch.equal(one, other)
    with torch.no_grad():
        assert model(torch.tensor(X)).shape == (6, 2)


def test_keras_keeps_less_and_gives_the_same_gradient():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = []
    for wrap in (False, True):
        model = keras_model()
        if wrap:
            blocks = model.layers[:3]
            assert checkpoint_activations_keras(model, blocks) is model
        kept = estimate_memory_keras(model, loss, X, Y)["per_example"]

        @tf.function(autograph=False)
        def gradient(model=model):
            with tf.GradientTape() as tape:
                value = loss(Y, model(X, training=True))
            return tape.gradient(value, model.trainable_variables)

        found.append((kept, [each.numpy() for each in gradient()]))
    assert found[1][0] < found[0][0] / 2
    for one, other in zip(found[0][1], found[1][1]):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    model.compile("sgd", loss)
    model.fit(X, Y, verbose=0)
    assert model.predict(X, verbose=0).shape == (6, 2)


@pytest.mark.parametrize(
    "wrap, build, layers_of",
    [
        (
            checkpoint_activations_torch,
            torch_model,
            lambda model: [model[0], nn.Linear(2, 2)],
        ),
        (
            checkpoint_activations_keras,
            keras_model,
            lambda model: [model.layers[0], keras.layers.Dense(2)],
        ),
    ],
    ids=["torch", "keras"],
)
def test_bad_layers_are_refused_with_the_reason(wrap, build, layers_of):
    model = build()
    good, foreign = layers_of(model)
    with pytest.raises(ValueError, match="layers is empty"):
        wrap(model, [])
    with pytest.raises(ValueError, match="this model"):
        wrap(model, [good, foreign])
    wrap(model, [good])
    with pytest.raises(ValueError, match="checkpointed already"):
        wrap(model, [good])
