"""Estimates of networks whose activations can be counted by hand."""

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.estimate_memory_keras import estimate_memory_keras
from snippets.estimate_memory_torch import estimate_memory_torch

X, Y = np.zeros((6, 5), "float32"), np.zeros(6, "int64")


def keras_case():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(7, "relu"),
            keras.layers.Dense(3),
        ]
    )
    return model, keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def torch_case():
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    return model, nn.CrossEntropyLoss()


def on_torch(model, loss, x, y, **more):
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    return estimate_memory_torch(model, loss, x, y, **more)


CASES = {
    "keras": (estimate_memory_keras, keras_case),
    "torch": (on_torch, torch_case),
}


def each_framework(test):
    return pytest.mark.parametrize(
        "estimate, case", CASES.values(), ids=CASES.keys()
    )(test)


@each_framework
def test_a_perceptron_is_counted_to_the_byte(estimate, case):
    found = estimate(*case(), X, Y, state_values=2)
    parameters = 4 * (5 * 7 + 7 + 7 * 3 + 3)
    assert found["parameters"] == found["gradients"] == parameters
    assert found["optimizer"] == 2 * parameters
    # Input, hidden units and probabilities; PyTorch also keeps the label.
    floats = 4 * (5 + 7 + 3)
    assert found["per_example"] in (floats, floats + 8)
    assert found["activations"] < 64
    parts = ("parameters", "gradients", "optimizer", "activations")
    assert found["fixed"] == sum(found[part] for part in parts)


def test_torch_counts_on_the_meta_device_and_changes_nothing():
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Dropout(0.5))
    state = {key: each.clone() for key, each in model.state_dict().items()}
    torch.manual_seed(3)
    found = on_torch(model, nn.CrossEntropyLoss(), X, Y)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    for key, each in model.state_dict().items():
        assert torch.equal(each, state[key]), key
    assert all(each.grad is None for each in model.parameters())
    model = model.to("meta")
    x, y = torch.as_tensor(X).to("meta"), torch.as_tensor(Y).to("meta")
    again = estimate_memory_torch(model, nn.CrossEntropyLoss(), x, y)
    # Dropout keeps its mask in another type on some devices.
    assert again["per_example"] == pytest.approx(found["per_example"], rel=0.3)
    assert again["parameters"] == found["parameters"]


def test_keras_leaves_the_model_as_it_was():
    model, loss = keras_case()
    before = model.get_weights()
    estimate_memory_keras(model, loss, X, Y)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_keras_refuses_what_it_cannot_count():
    model = keras.Sequential([keras.Input((4, 5)), keras.layers.LSTM(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x = np.zeros((4, 4, 5), "float32")
    with pytest.raises(ValueError, match="cannot be estimated"):
        estimate_memory_keras(model, loss, x, Y[:4])


@each_framework
def test_frozen_parameters_have_no_gradient(estimate, case):
    model, loss = case()
    if isinstance(model, nn.Module):
        model[0].requires_grad_(False)
    else:
        model.layers[0].trainable = False
    found = estimate(model, loss, X, Y, state_values=1)
    assert found["gradients"] == found["optimizer"] == 4 * (7 * 3 + 3)
    assert found["parameters"] > found["gradients"]


@each_framework
def test_bad_arguments_are_refused_with_the_reason(estimate, case):
    with pytest.raises(ValueError, match="x has 1 examples"):
        estimate(*case(), X[:1], Y[:1])
    with pytest.raises(ValueError, match="y has 5 labels"):
        estimate(*case(), X, Y[:5])
    with pytest.raises(ValueError, match="state_values=-1"):
        estimate(*case(), X, Y, state_values=-1)
    model, loss = case()
    if isinstance(model, nn.Module):
        model.requires_grad_(False)
    else:
        model.trainable = False
    with pytest.raises(ValueError, match="0 trainable parameters"):
        estimate(model, loss, X, Y)
