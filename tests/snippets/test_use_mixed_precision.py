"""Half precision stays close to float32 and hides no gradient that is lost."""

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.use_mixed_precision_keras import use_mixed_precision_keras
from snippets.use_mixed_precision_torch import use_mixed_precision_torch

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 8)).astype("float32")
Y = (X @ RANDOM.normal(size=(8, 3))).argmax(axis=1)
UPDATES = 30
# The largest relative distance of the last loss from that of float32.
CLOSE = 0.05
DTYPES = ("bfloat16", "float16")


def torch_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))


def keras_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(32, "relu"),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )


def torch_loss(dtype):
    """The last of some losses; float32 where dtype is None."""
    model = torch_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    x, y = torch.tensor(X), torch.tensor(Y)
    criterion = nn.functional.cross_entropy
    if dtype:
        update = use_mixed_precision_torch(
            model, optimizer, criterion, getattr(torch, dtype)
        )
        for _ in range(UPDATES):
            loss = update(x, y)
        assert loss.dtype == torch.float32 and not loss.requires_grad
        assert all(each.dtype == torch.float32 for each in model.parameters())
        return float(loss)
    for _ in range(UPDATES):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    return float(loss)


def keras_loss(dtype):
    model = (
        use_mixed_precision_keras(keras_model, dtype)
        if dtype
        else keras_model()
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss)
    for _ in range(UPDATES):
        found = model.train_on_batch(X, Y)
    assert all(each.dtype == "float32" for each in model.weights)
    scaled = keras.optimizers.LossScaleOptimizer
    assert isinstance(model.optimizer, scaled) == (dtype == "float16")
    return float(np.ravel(found)[0])


@pytest.mark.parametrize("loss_of", [torch_loss, keras_loss])
def test_loss_is_close_to_that_of_float32(loss_of):
    expected = loss_of(None)
    for dtype in DTYPES:
        found = loss_of(dtype)
        assert found == pytest.approx(expected, rel=CLOSE)
        # It really computes with fewer digits.
        assert found != expected


def test_torch_keeps_gradients_that_float16_rounds_to_zero():
    # Gradients of activations near 1e-9: float16 has nothing below 6e-8.
    def small_loss(outputs, labels):
        return 1e-9 * outputs.sum()

    x, y = torch.tensor(X), torch.tensor(Y)
    moved = {}
    for name, dtype in (("bare", None), *((d, d) for d in DTYPES)):
        model = torch_model()
        optimizer = torch.optim.SGD(model.parameters(), 1.0)
        if dtype:
            half = getattr(torch, dtype)
            use_mixed_precision_torch(model, optimizer, small_loss, half)(x, y)
        else:
            with torch.autocast("cpu", torch.float16):
                outputs = model(x)
            small_loss(outputs.float(), y).backward()
        moved[name] = float(model[2].weight.grad.abs().sum())
    assert moved["bare"] == 0
    assert moved["bfloat16"] > 0
    # After the update, they are no longer scaled.
    assert moved["float16"] == pytest.approx(moved["bfloat16"], rel=0.05)


def test_torch_leaves_out_an_update_that_is_not_finite():
    model = torch_model()
    before = [each.detach().clone() for each in model.parameters()]
    update = use_mixed_precision_torch(
        model,
        torch.optim.SGD(model.parameters(), 1.0),
        lambda outputs, labels: 1e30 * outputs.sum(),
        torch.float16,
    )
    update(torch.tensor(X), torch.tensor(Y))
    for old, new in zip(before, model.parameters()):
        assert torch.equal(old, new)


def test_keras_policy_is_as_before():
    before = keras.config.dtype_policy()
    model = use_mixed_precision_keras(keras_model)
    assert model.layers[0].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy() == before
    with pytest.raises(ZeroDivisionError):
        use_mixed_precision_keras(lambda: 1 / 0)
    assert keras.config.dtype_policy() == before


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="float64"):
        use_mixed_precision_keras(keras_model, "float64")
    with pytest.raises(ValueError, match="output is in bfloat16"):
        use_mixed_precision_keras(
            lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
        )
    with pytest.raises(ValueError, match="0 outputs"):
        use_mixed_precision_keras(
            lambda: keras.Sequential([keras.layers.Dense(3)])
        )
    model = torch_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss = nn.functional.cross_entropy
    with pytest.raises(ValueError, match="float64"):
        use_mixed_precision_torch(model, optimizer, loss, torch.float64)
    with pytest.raises(ValueError, match="torch.bfloat16; all"):
        use_mixed_precision_torch(model.bfloat16(), optimizer, loss)
    with pytest.raises(ValueError, match="0 parameters"):
        use_mixed_precision_torch(nn.ReLU(), optimizer, loss)
