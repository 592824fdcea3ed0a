"""A row per example, each what a batch of that one example gives."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.compute_example_gradients_keras import (
    compute_example_gradients_keras,
)
from snippets.compute_example_gradients_torch import (
    compute_example_gradients_torch,
)

NUM_EXAMPLES, NUM_FEATURES, NUM_CLASSES = 7, 3, 4
KERAS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TORCH_LOSS = nn.CrossEntropyLoss()


def data():
    random = np.random.default_rng(1)
    x = random.normal(size=(NUM_EXAMPLES, NUM_FEATURES)).astype("float32")
    return x, random.integers(NUM_CLASSES, size=NUM_EXAMPLES)


def keras_model():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(5, "relu"), keras.layers.Dense(NUM_CLASSES)]
    return keras.Sequential([keras.Input((NUM_FEATURES,)), *layers])


def torch_model():
    """The same weights as keras_model."""
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, 5), nn.ReLU(), nn.Linear(5, NUM_CLASSES)
    )
    with torch.no_grad():
        for weight, value in zip(
            model.parameters(), keras_model().get_weights()
        ):
            weight.copy_(torch.tensor(value.T))
    return model


def by_keras(x, y, model=None):
    return compute_example_gradients_keras(
        model or keras_model(), KERAS_LOSS, x, y
    )


def by_torch(x, y, model=None):
    return compute_example_gradients_torch(
        model or torch_model(),
        TORCH_LOSS,
        torch.as_tensor(x),
        torch.as_tensor(y),
    )


both = pytest.mark.parametrize("by", [by_keras, by_torch])


def test_a_linear_model_has_the_gradients_of_the_textbook():
    x, y = data()
    y = y.astype("float32")[:, None]
    expected = -2 * y * np.hstack([x, np.ones_like(y)])
    linear = nn.Linear(NUM_FEATURES, 1)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    found = compute_example_gradients_torch(
        linear, nn.MSELoss(), torch.tensor(x), torch.tensor(y)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    layer = keras.layers.Dense(1, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((NUM_FEATURES,)), layer])
    loss = keras.losses.MeanSquaredError()
    found = compute_example_gradients_keras(model, loss, x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_torch_rows_are_what_backward_gives():
    x, y = (torch.as_tensor(part) for part in data())
    model = torch_model()
    rows = by_torch(x, y)
    for chosen in (slice(0, 1), slice(3, 4), slice(None)):
        loss = TORCH_LOSS(model(x[chosen]), y[chosen])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        expected = torch.cat([each.flatten() for each in gradients])
        found = rows[chosen].mean(dim=0)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_keras_rows_are_those_of_torch():
    # Keras stores a kernel the other way round.
    shapes = [weight.shape for weight in keras_model().get_weights()]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    parts = np.split(by_keras(*data()), ends, axis=1)
    turned = [
        part.reshape(-1, *shape).swapaxes(1, -1).reshape(NUM_EXAMPLES, -1)
        for part, shape in zip(parts, shapes)
    ]
    expected = by_torch(*data()).numpy()
    np.testing.assert_allclose(np.hstack(turned), expected, atol=1e-6)


def test_the_models_stay_as_they_were():
    x, y = data()
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, 4),
        nn.BatchNorm1d(4),
        nn.Dropout(0.5),
        nn.Linear(4, NUM_CLASSES),
    )
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = by_torch(x, y, model)
    assert [module.training for module in model] == [True, False, True, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert torch.equal(by_torch(x, y, model), found)

    layers = [
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(NUM_CLASSES),
    ]
    model = keras.Sequential([keras.Input((NUM_FEATURES,)), *layers])
    weights = [weight.copy() for weight in model.get_weights()]
    found = by_keras(x, y, model)
    for weight, kept in zip(model.get_weights(), weights):
        np.testing.assert_array_equal(weight, kept)
    np.testing.assert_array_equal(by_keras(x, y, model), found)


@both
def test_bad_data_are_refused_with_the_reason(by):
    x, y = data()
    with pytest.raises(ValueError, match="7 examples and y has 6"):
        by(x, y[1:])
    with pytest.raises(ValueError, match="x has 0 examples"):
        by(x[:0], y[:0])
    with pytest.raises(ValueError, match="loss is nan; it must be finite"):
        by(x * np.nan, y)


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match="0 trainable parameters"):
        by_torch(*data(), nn.Flatten())
    model = keras_model()
    model.trainable = False
    with pytest.raises(ValueError, match="0 trainable parameters"):
        by_keras(*data(), model)


ON_TORCH = """\
import sys
sys.path[:0] = [{root!r}, {root!r} + "/tests/snippets"]
import keras, numpy as np
from test_compute_example_gradients import by_keras, data, keras_model
assert keras.backend.backend() == "torch"
model = keras_model()
model.set_weights(list(np.load("weights.npy", allow_pickle=True)))
np.save("found.npy", by_keras(*data(), model))
"""


def test_keras_on_the_torch_backend_gives_the_same(tmp_path):
    weights = np.empty(4, dtype=object)
    weights[:] = keras_model().get_weights()
    np.save(tmp_path / "weights.npy", weights)
    program = ON_TORCH.format(root=str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, by_keras(*data()), atol=1e-6)
