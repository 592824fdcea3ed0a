"""Sharpness agrees with known answers and leaves the model as it was."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.measure_sharpness_keras import measure_sharpness_keras
from snippets.measure_sharpness_torch import measure_sharpness_torch

random = np.random.default_rng(4)
X = random.normal(size=(30, 5)).astype("float32") * [1, 2, 0.5, 1, 3]
X = X.astype("float32")
Y = random.normal(size=(30, 1)).astype("float32")
LABELS = random.integers(3, size=30)


def keras_classifier():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(6, "tanh"),
            keras.layers.Dropout(0.5),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )


def torch_classifier():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(5, 6),
        nn.Tanh(),
        nn.Dropout(0.5),
        nn.BatchNorm1d(6, eps=1e-3),
        nn.Linear(6, 3),
    )


def keras_loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def known_answer():
    """Of the mean squared error of a linear model: 2 X'X / N."""
    return np.linalg.eigvalsh(2 * X.T @ X / len(X)).max()


def test_keras_least_squares_has_the_eigenvalue_of_its_matrix():
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(1, use_bias=False)]
    )
    loss = keras.losses.MeanSquaredError()
    found = measure_sharpness_keras(model, loss, X, Y, num_iterations=100)
    assert found == pytest.approx(known_answer(), rel=1e-4)


def test_torch_least_squares_has_the_eigenvalue_of_its_matrix():
    model = nn.Linear(5, 1, bias=False)
    x, y = torch.tensor(X), torch.tensor(Y)
    loss = nn.functional.mse_loss
    found = measure_sharpness_torch(model, loss, x, y, num_iterations=100)
    assert found == pytest.approx(known_answer(), rel=1e-4)


def test_the_keras_torch_backend_finds_it_too():
    program = f"""\
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import keras
import numpy as np
from snippets.measure_sharpness_keras import measure_sharpness_keras
assert keras.backend.backend() == "torch"
model = keras.Sequential(
    [keras.Input((5,)), keras.layers.Dense(1, use_bias=False)]
)
x = np.random.default_rng(0).normal(size=(30, 5)).astype("float32")
x[:, 0] *= 3
known = np.linalg.eigvalsh(2 * x.T @ x / len(x)).max()
found = measure_sharpness_keras(
    model, keras.losses.MeanSquaredError(), x, x[:, :1], num_iterations=100
)
assert abs(found / known - 1) < 1e-4, (found, known)
flat = measure_sharpness_keras(
    model, lambda y, outputs: outputs, x, x[:, :1]
)
assert flat == 0, flat
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_both_frameworks_find_the_same_and_it_is_the_hessians_largest():
    twin = keras_classifier()
    model = torch_classifier()
    weights = [weight for weight in twin.get_weights()]
    parameters = list(model.parameters())
    with torch.no_grad():
        # Keras puts the averages of batch normalisation before the last
        # layer; PyTorch keeps them elsewhere.
        trainable = weights[:4] + weights[6:]
        for parameter, weight in zip(parameters, trainable):
            parameter.copy_(torch.tensor(weight.T))
    x, y = torch.tensor(X), torch.tensor(LABELS)
    loss = nn.functional.cross_entropy
    left = measure_sharpness_keras(twin, keras_loss(), X, LABELS, 300)
    right = measure_sharpness_torch(model, loss, x, y, 300)
    assert left == pytest.approx(right, rel=1e-3)

    model.eval()
    names = [name for name, _ in model.named_parameters()]
    sizes = [parameter.numel() for parameter in parameters]

    def of_one_vector(vector):
        parts = vector.split(sizes)
        shaped = {
            name: part.reshape(parameter.shape)
            for name, part, parameter in zip(names, parts, parameters)
        }
        return loss(torch.func.functional_call(model, shaped, x), y)

    vector = torch.cat([each.detach().flatten() for each in parameters])
    hessian = torch.autograd.functional.hessian(of_one_vector, vector)
    eigenvalues = np.linalg.eigvalsh(hessian.numpy())
    largest = eigenvalues[np.abs(eigenvalues).argmax()]
    assert right == pytest.approx(largest, rel=1e-3)


def test_keras_model_stays_as_it_was():
    model = keras_classifier()
    before = [weight.copy() for weight in model.get_weights()]
    state = np.random.get_state()[1].copy()
    first = measure_sharpness_keras(model, keras_loss(), X, LABELS)
    assert first == measure_sharpness_keras(model, keras_loss(), X, LABELS)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(state, np.random.get_state()[1])


def test_torch_model_stays_as_it_was():
    model = torch_classifier()
    model[2].eval()
    model[0].bias.grad = torch.ones(6)
    model[4].bias.requires_grad_(False)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    x, y = torch.tensor(X), torch.tensor(LABELS)
    loss = nn.functional.cross_entropy
    with torch.no_grad():
        measure_sharpness_torch(model, loss, x, y)
    for name, each in model.state_dict().items():
        assert torch.equal(before[name], each), name
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(model[0].bias.grad, torch.ones(6))
    assert model[4].weight.grad is None


def test_a_loss_without_curvature_has_none():
    flat = measure_sharpness_torch(
        nn.Linear(5, 1), lambda out, y: out, torch.tensor(X), torch.tensor(Y)
    )
    assert flat == 0
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    assert measure_sharpness_keras(model, lambda y, out: out, X, Y) == 0


BAD = {
    "no data": ({"x": X[:0], "y": Y[:0]}, "x has 0 examples"),
    "labels missing": ({"y": Y[:-1]}, "give as many of both"),
    "no iteration": ({"num_iterations": 0}, "num_iterations=0"),
    "nothing to train": ({"frozen": True}, "0 trainable parameters"),
    "not finite": ({"y": Y * np.nan}, "nan; it must be finite"),
}


@pytest.mark.parametrize("given, said", BAD.values(), ids=BAD)
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_bad_input_is_refused_with_the_reason(framework, given, said):
    given = {"x": X, "y": Y} | given
    frozen = given.pop("frozen", False)
    if framework == "keras":
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
        model.trainable = not frozen
        measure, loss = measure_sharpness_keras, keras.losses.mean_squared_error
    else:
        model = nn.Linear(5, 1).requires_grad_(not frozen)
        given["x"], given["y"] = map(torch.tensor, (given["x"], given["y"]))
        measure, loss = measure_sharpness_torch, nn.functional.mse_loss
    with pytest.raises(ValueError, match=said):
        measure(model, loss, **given)
