"""Training many rates at once is the same as training each alone."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.train_rates_keras import train_rates_keras
from snippets.train_rates_torch import train_rates_torch

FRAMEWORKS = ["keras", "torch"]
NUM_EXAMPLES, NUM_FEATURES, CLASSES, SEED = 20, 4, 3, 5
RATES = [0.003, 0.03, 0.3]
# Eight examples a batch: two whole batches and one of four; then one of 20.
PHASES = [(6, 8, 1.0), (4, 20, 0.5)]
OPTIMIZERS = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "adam": {"optimizer": "adam", "beta_2": 0.99},
}


def data_sets():
    random = np.random.default_rng(1)
    x = random.normal(size=(len(RATES), NUM_EXAMPLES, NUM_FEATURES))
    y = random.integers(CLASSES, size=(len(RATES), NUM_EXAMPLES))
    return x.astype("float32"), y.astype("int32")


def keras_models():
    models = []
    for number in range(len(RATES)):
        keras.utils.set_random_seed(number)
        layers = [keras.layers.Dense(6, "relu"), keras.layers.Dense(CLASSES)]
        models.append(keras.Sequential([keras.Input((NUM_FEATURES,)), *layers]))
    return models


def torch_models():
    """The same weights as keras_models."""
    models = []
    for twin in keras_models():
        model = nn.Sequential(
            nn.Linear(NUM_FEATURES, 6), nn.ReLU(), nn.Linear(6, CLASSES)
        )
        with torch.no_grad():
            for weight, value in zip(model.parameters(), twin.get_weights()):
                weight.copy_(torch.tensor(value.T))
        models.append(model)
    return models


def batches(phases):
    """(indices for each model, factor) of each update, reshuffled anew."""
    random = np.random.default_rng(SEED)
    in_order = np.tile(np.arange(NUM_EXAMPLES), (len(RATES), 1))
    position = NUM_EXAMPLES
    for num_updates, batch_size, factor in phases:
        for _ in range(num_updates):
            if position >= NUM_EXAMPLES:
                order, position = random.permuted(in_order, axis=1), 0
            yield order[:, position : position + batch_size], factor
            position += batch_size


def alone(framework, optimizer, phases):
    """Weights of each model after a plain loop for it alone."""
    if framework == "keras":
        return keras_alone(optimizer, phases)
    return torch_alone(optimizer, phases)


def keras_alone(optimizer, phases):
    x, y = data_sets()
    models = keras_models()
    for number, (model, rate) in enumerate(zip(models, RATES)):
        plain = (
            keras.optimizers.Adam(rate, beta_2=0.99)
            if optimizer == "adam"
            else keras.optimizers.SGD(
                rate, momentum=OPTIMIZERS[optimizer].get("momentum", 0.0)
            )
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=plain, loss=loss)
        for indices, factor in batches(phases):
            plain.learning_rate = rate * factor
            batch = indices[number]
            model.train_on_batch(x[number, batch], y[number, batch])
    return [model.get_weights() for model in models]


def torch_alone(optimizer, phases):
    x, y = data_sets()
    models = torch_models()
    for number, (model, rate) in enumerate(zip(models, RATES)):
        if optimizer == "adam":
            plain = torch.optim.Adam(
                model.parameters(), betas=(0.9, 0.99), eps=1e-7
            )
        else:
            momentum = OPTIMIZERS[optimizer].get("momentum", 0.0)
            plain = torch.optim.SGD(
                model.parameters(), lr=rate, momentum=momentum
            )
        for indices, factor in batches(phases):
            plain.param_groups[0]["lr"] = rate * factor
            batch = indices[number]
            plain.zero_grad()
            nn.functional.cross_entropy(
                model(torch.tensor(x[number, batch])),
                torch.tensor(y[number, batch]).long(),
            ).backward()
            plain.step()
    return [
        [weight.detach().numpy().T for weight in model.parameters()]
        for model in models
    ]


def together(framework, phases=PHASES, checkpoints=(0, 3, 10), **options):
    """Weights of each model, and the history, of the snippet."""
    x, y = data_sets()
    settings = {"rates": RATES, "x": x, "y": y} | options
    x, y = settings.pop("x"), settings.pop("y")
    rates, models = settings.pop("rates"), settings.pop("models", None)
    if framework == "keras":
        models = keras_models() if models is None else models
        history = train_rates_keras(
            models, rates, x, y, phases, checkpoints, {"all": (x, y)}, SEED,
            **settings,
        )  # fmt: skip
        return [model.get_weights() for model in models], history
    models = torch_models() if models is None else models
    x, y = torch.tensor(x), torch.tensor(y).long()
    history = train_rates_torch(
        models, rates, x, y, phases, checkpoints, {"all": (x, y)}, SEED,
        **settings,
    )  # fmt: skip
    return [
        [weight.detach().numpy().T for weight in model.parameters()]
        for model in models
    ], history


def furthest(found, expected):
    return max(
        np.abs(weight - other).max()
        for weights, others in zip(found, expected)
        for weight, other in zip(weights, others)
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_weights_are_those_of_a_plain_loop(framework, optimizer):
    found, _ = together(framework, **OPTIMIZERS[optimizer])
    expected = alone(framework, optimizer, PHASES)
    assert furthest(found, expected) < 2e-4
    # The rates are so far apart that taking one for another would show.
    assert furthest(found[:1], found[1:2]) > 0.01


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_another_order_of_examples_gives_other_weights(framework, monkeypatch):
    found, _ = together(framework)
    monkeypatch.setattr(sys.modules[__name__], "SEED", 6)
    assert furthest(found, alone(framework, "sgd", PHASES)) > 1e-3


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_history_holds_loss_and_accuracy_at_each_look(framework):
    found, history = together(framework)
    loss, accuracy = history["all"]["loss"], history["all"]["accuracy"]
    assert loss.shape == accuracy.shape == (3, len(RATES))
    x, y = data_sets()
    for number, weights in enumerate(found):
        hidden = np.maximum(x[number] @ weights[0] + weights[1], 0)
        outputs = hidden @ weights[2] + weights[3]
        outputs = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
        right = outputs[np.arange(NUM_EXAMPLES), y[number]]
        assert loss[-1, number] == pytest.approx(-right.mean(), rel=1e-4)
        share = (outputs.argmax(1) == y[number]).mean()
        assert accuracy[-1, number] == pytest.approx(share)
    assert (loss[-1, 1:] < loss[0, 1:]).all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_data_for_all_serves_every_model(framework):
    x, y = data_sets()
    one, _ = together(framework, x=x[0], y=y[0])
    each, _ = together(
        framework, x=np.stack([x[0]] * 3), y=np.stack([y[0]] * 3)
    )
    assert furthest(one, each) < 1e-6


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_stop_ends_the_training(framework):
    seen = []

    def stop(history):
        seen.append(len(history["all"]["loss"]))
        return len(seen) == 2

    found, history = together(framework, stop=stop)
    assert seen == [1, 2] and len(history["all"]["loss"]) == 2
    assert furthest(found, alone(framework, "sgd", [(3, 8, 1.0)])) < 1e-5


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"rates": [0.1]}, "1 learning_rates for 3"),
        ({"rates": [], "models": []}, "at least one"),
        ({"rates": [0.1, 0.0, 0.1]}, "0.0 is not above 0"),
        ({"rates": [0.1, np.inf, 0.1]}, "inf is not above 0 and finite"),
        ({"y": data_sets()[1][0][:-1]}, "x has 20 examples and y 19"),
        ({"phases": [(5, 0, 1.0)]}, "1 to 20"),
        ({"phases": [(5, 21, 1.0)]}, "1 to 20"),
        ({"phases": [(0, 8, 1.0)]}, "1 or more"),
        ({"phases": [(5, 8, 0.0)]}, "above 0"),
        ({"checkpoints": []}, "rise"),
        ({"checkpoints": [3, 3]}, "rise"),
        ({"checkpoints": [11]}, "10 at most"),
        ({"optimizer": "lamb"}, "lamb"),
        ({"optimiser": "sgd"}, "optimiser"),
    ],
)
def test_bad_settings_say_what_is_allowed(framework, wrong, named):
    with pytest.raises(ValueError, match=named):
        together(framework, **wrong)


def test_a_layer_that_cannot_be_stacked_is_refused():
    models = [nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))] * 3
    with pytest.raises(ValueError, match="BatchNorm1d"):
        together("torch", models=models)
    keras_model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    with pytest.raises(ValueError, match="non-trainable"):
        together("keras", models=[keras_model] * 3)


def test_keras_trains_the_same_on_the_torch_backend():
    code = (
        "import numpy as np, tests_train_rates as t\n"
        "found, _ = t.together('keras', optimizer='adam', beta_2=0.99)\n"
        "assert t.furthest(found, t.alone('keras', 'adam', t.PHASES)) < 2e-4\n"
    )
    folder = Path(__file__).parent
    loader = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('tests_train_rates', "
        f"{str(folder / 'test_train_rates.py')!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['tests_train_rates'] = module\n"
        "spec.loader.exec_module(module)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", loader + code],
        env=os.environ | {"KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
