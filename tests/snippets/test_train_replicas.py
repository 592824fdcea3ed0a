"""Training many replicas at once is the same as training each alone."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.train_replicas_keras import train_replicas_keras
from snippets.train_replicas_torch import train_replicas_torch

NUM_EXAMPLES, NUM_FEATURES, REPLICAS = 20, 4, 3
BATCH_SIZE, LEARNING_RATE, SEED = 8, 0.01, 5
# Eight examples a batch: two whole batches and one of four.
PER_EPOCH = 3


def data_sets(classes):
    random = np.random.default_rng(1)
    x = random.normal(size=(REPLICAS, NUM_EXAMPLES, NUM_FEATURES))
    y = random.integers(max(classes, 2), size=(REPLICAS, NUM_EXAMPLES))
    return x.astype("float32"), y.astype("int32")


def keras_models(classes):
    models = []
    for number in range(REPLICAS):
        keras.utils.set_random_seed(number)
        layers = [keras.layers.Dense(6, "relu"), keras.layers.Dense(classes)]
        models.append(keras.Sequential([keras.Input((NUM_FEATURES,)), *layers]))
    return models


def torch_models(classes):
    """The same weights as keras_models."""
    models = []
    for twin in keras_models(classes):
        model = nn.Sequential(
            nn.Linear(NUM_FEATURES, 6), nn.ReLU(), nn.Linear(6, classes)
        )
        with torch.no_grad():
            for weight, value in zip(model.parameters(), twin.get_weights()):
                weight.copy_(torch.tensor(value.T))
        models.append(model)
    return models


def orders(epochs, reshuffle=True):
    """The order of examples in each epoch, for each replica."""
    random = np.random.default_rng(SEED)
    in_order = np.tile(np.arange(NUM_EXAMPLES), (REPLICAS, 1))
    drawn = [random.permuted(in_order, axis=1) for _ in range(epochs)]
    return drawn if reshuffle else [drawn[0]] * epochs


def train_keras_alone(x, y, classes, epoch_orders):
    models = keras_models(classes)
    loss = (
        keras.losses.BinaryCrossentropy(from_logits=True)
        if classes == 1
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    for number, model in enumerate(models):
        optimizer = keras.optimizers.Adam(LEARNING_RATE)
        model.compile(optimizer=optimizer, loss=loss)
        for order in epoch_orders:
            for start in range(0, NUM_EXAMPLES, BATCH_SIZE):
                batch = order[number, start : start + BATCH_SIZE]
                labels = y[number, batch]
                if classes == 1:
                    labels = labels[:, None]
                model.train_on_batch(x[number, batch], labels)
    return [model.get_weights() for model in models]


def train_torch_alone(x, y, classes, epoch_orders):
    models = torch_models(classes)
    for number, model in enumerate(models):
        optimizer = torch.optim.Adam(
            model.parameters(), lr=LEARNING_RATE, eps=1e-7
        )
        for order in epoch_orders:
            for start in range(0, NUM_EXAMPLES, BATCH_SIZE):
                batch = order[number, start : start + BATCH_SIZE]
                outputs = model(torch.tensor(x[number, batch]))
                labels = torch.tensor(y[number, batch])
                loss = (
                    nn.functional.binary_cross_entropy_with_logits(
                        outputs[:, 0], labels.float()
                    )
                    if classes == 1
                    else nn.functional.cross_entropy(outputs, labels.long())
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return [
        [weight.detach().numpy().T for weight in model.parameters()]
        for model in models
    ]


def train_together(framework, x, y, classes, num_epochs):
    """Weights of each model, and the history of losses."""
    settings = {
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "checkpoints": [num_epochs * PER_EPOCH],
        "seed": SEED,
    }
    if framework == "keras":
        models = keras_models(classes)
        history = train_replicas_keras(
            models, x, y, x_check=x, y_check=y, **settings
        )
        return [model.get_weights() for model in models], history
    x, y = torch.tensor(x), torch.tensor(y).long()
    models = torch_models(classes)
    history = train_replicas_torch(
        models, x, y, x_check=x, y_check=y, **settings
    )
    weights = [[w.detach().numpy().T for w in m.parameters()] for m in models]
    return weights, history


ALONE = {"keras": train_keras_alone, "torch": train_torch_alone}


def largest_difference(left, right):
    return max(
        np.abs(a - b).max()
        for one, other in zip(left, right)
        for a, b in zip(one, other)
    )


@pytest.mark.parametrize("framework", ["keras", "torch"])
@pytest.mark.parametrize("classes", [1, 3])
def test_replicas_learn_what_a_plain_loop_teaches(framework, classes):
    x, y = data_sets(classes)
    together, _ = train_together(framework, x, y, classes, 3)
    alone = ALONE[framework](x, y, classes, orders(3))
    assert largest_difference(together, alone) < 1e-4


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_order_is_new_in_every_epoch(framework):
    x, y = data_sets(3)
    together, _ = train_together(framework, x, y, 3, 3)
    one_order = ALONE[framework](x, y, 3, orders(3, reshuffle=False))
    assert largest_difference(together, one_order) > 1e-3


def test_both_frameworks_learn_the_same():
    x, y = data_sets(3)
    keras_weights, keras_history = train_together("keras", x, y, 3, 3)
    torch_weights, torch_history = train_together("torch", x, y, 3, 3)
    # Adam adds its epsilon in a different place in the two.
    assert largest_difference(keras_weights, torch_weights) < 1e-3
    np.testing.assert_allclose(
        keras_history["loss"], torch_history["loss"], atol=1e-3
    )


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_checkpoints_do_not_change_the_training(framework):
    x, y = data_sets(3)
    rare, history = train_together(framework, x, y, 3, 3)
    settings = (BATCH_SIZE, LEARNING_RATE, [1, 2, 3, 5, 9])
    if framework == "keras":
        models = keras_models(3)
        often = train_replicas_keras(models, x, y, *settings, x, y, SEED)
    else:
        x, y = torch.tensor(x), torch.tensor(y).long()
        models = torch_models(3)
        often = train_replicas_torch(models, x, y, *settings, x, y, SEED)
    assert often["loss"].shape == (5, REPLICAS)
    np.testing.assert_allclose(
        often["loss"][-1], history["loss"][-1], rtol=1e-4
    )


def test_each_model_keeps_the_weights_of_its_lowest_loss():
    x, y = data_sets(3)
    x_check, y_check = x[:, ::-1].copy(), np.roll(y, 1, axis=0)
    checkpoints = list(range(1, 40))
    for framework in ("keras", "torch"):
        if framework == "keras":
            models = keras_models(3)
            history = train_replicas_keras(
                models, x, y, 8, 0.05, checkpoints, x_check, y_check, SEED
            )
            outputs = [np.array(m(v)) for m, v in zip(models, x_check)]
        else:
            models = torch_models(3)
            tensors = map(torch.tensor, (x, y, x_check, y_check))
            xs, ys, xc, yc = tensors
            history = train_replicas_torch(
                models, xs, ys.long(), 8, 0.05, checkpoints, xc, yc.long(), SEED
            )
            outputs = [m(v).detach().numpy() for m, v in zip(models, xc)]
        kept = [
            nn.functional.cross_entropy(
                torch.tensor(out), torch.tensor(labels).long()
            ).item()
            for out, labels in zip(outputs, y_check)
        ]
        lowest = history["loss"].min(axis=0)
        assert (lowest < history["loss"][-1]).any(), "the case shows nothing"
        np.testing.assert_allclose(kept, lowest, rtol=1e-4)


@pytest.mark.parametrize("framework", ["keras", "torch"])
@pytest.mark.parametrize(
    "change, said",
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"models": []}, "not empty"),
        ({"checkpoints": []}, "rise"),
        ({"checkpoints": [3, 3]}, "rise"),
    ],
)
def test_bad_settings_are_refused_with_the_reason(framework, change, said):
    x, y = data_sets(3)
    train = train_replicas_keras
    models = keras_models(3)
    if framework == "torch":
        train, models = train_replicas_torch, torch_models(3)
        x, y = torch.tensor(x), torch.tensor(y).long()
    settings = {
        "models": models,
        "batch_size": 4,
        "learning_rate": 0.01,
        "checkpoints": [1],
    } | change
    with pytest.raises(ValueError, match=said):
        train(x=x, y=y, x_check=x, y_check=y, seed=0, **settings)


def test_models_that_cannot_be_stacked_are_refused():
    x, y = data_sets(3)
    normalised = keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    with pytest.raises(ValueError, match="non-trainable state"):
        train_replicas_keras([normalised], x, y, 4, 0.01, [1], x, y, 0)
    normalised = nn.Sequential(nn.BatchNorm1d(NUM_FEATURES), nn.Linear(4, 3))
    x, y = torch.tensor(x), torch.tensor(y).long()
    with pytest.raises(ValueError, match="BatchNorm1d"):
        train_replicas_torch([normalised], x, y, 4, 0.01, [1], x, y, 0)


def test_keras_replicas_train_on_the_torch_backend_too():
    script = (
        "import numpy as np, keras\n"
        "from snippets.train_replicas_keras import train_replicas_keras\n"
        "random = np.random.default_rng(0)\n"
        "x = random.normal(size=(64, 2)).astype('float32')\n"
        "y = (x.sum(axis=1) > 0).astype('int32')\n"
        "models = [keras.Sequential([keras.Input((2,)), "
        "keras.layers.Dense(1)]) for _ in range(3)]\n"
        "h = train_replicas_keras(models, x, y, 16, 0.1, [1, 80], x, y, 0)\n"
        "assert keras.backend.backend() == 'torch'\n"
        "assert (h['accuracy'][-1] > 0.95).all(), h\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
