"""The noise scale of cases whose answer can be written down."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.measure_noise_scale_keras import measure_noise_scale_keras
from snippets.measure_noise_scale_torch import measure_noise_scale_torch

NUM_EXAMPLES, NUM_FEATURES = 60, 3
SETTINGS = {"small_batch_size": 2, "large_batch_size": 40, "num_batches": 60}


def data():
    random = np.random.default_rng(1)
    x = random.normal(size=(NUM_EXAMPLES, NUM_FEATURES))
    y = x @ [[1.0], [2.0], [-1.0]] + random.normal(size=(NUM_EXAMPLES, 1))
    return x.astype("float32"), y.astype("float32")


def known_answer():
    """Trace and squared norm where the weights and the bias are zero.

    The prediction is zero, so an example's gradient is -2 y (x, 1).
    """
    x, y = data()
    each = -2 * y * np.hstack([x, np.ones_like(y)])
    trace = each.var(axis=0).sum()
    return float(trace), float((each.mean(axis=0) ** 2).sum())


def torch_case():
    model = nn.Linear(NUM_FEATURES, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model, nn.MSELoss()


def keras_case():
    model = keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(1, kernel_initializer="zeros"),
        ]
    )
    return model, keras.losses.MeanSquaredError()


CASES = {
    "keras": (measure_noise_scale_keras, keras_case),
    "torch": (measure_noise_scale_torch, torch_case),
}


def each_framework(test):
    return pytest.mark.parametrize(
        "measure, case", CASES.values(), ids=CASES.keys()
    )(test)


@each_framework
def test_mean_and_interval_are_right(measure, case):
    trace, squared_norm = known_answer()
    model, loss = case()
    found = [
        measure(model, loss, *data(), **SETTINGS, seed=seed)
        for seed in range(50)
    ]
    # Of fifty means, each right to about four of its own errors.
    for key, truth in (("trace", trace), ("squared_norm", squared_norm)):
        estimates = np.array([each[key] for each in found])
        error = estimates.std(ddof=1) / 50**0.5
        assert abs(estimates.mean() - truth) < 4 * error
        assert error < 0.1 * truth
    truth = trace / squared_norm
    covered = sum(each["low"] <= truth <= each["high"] for each in found)
    # Where 95 % do, fewer than 43 would be chance in one of three hundred.
    assert covered >= 43
    assert all(each["low"] < each["noise_scale"] for each in found)


@each_framework
def test_many_batches_find_the_answer(measure, case):
    trace, squared_norm = known_answer()
    settings = SETTINGS | {"num_batches": 3000}
    found = measure(*case(), *data(), **settings)
    assert found["noise_scale"] == pytest.approx(trace / squared_norm, rel=0.1)
    assert found["low"] <= trace / squared_norm <= found["high"]


def test_both_frameworks_measure_the_same():
    random = np.random.default_rng(2)
    x = random.normal(size=(NUM_EXAMPLES, NUM_FEATURES)).astype("float32")
    y = random.integers(4, size=NUM_EXAMPLES)
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(5, "relu"), keras.layers.Dense(4)]
    model = keras.Sequential([keras.Input((NUM_FEATURES,)), *layers])
    twin = nn.Sequential(nn.Linear(NUM_FEATURES, 5), nn.ReLU(), nn.Linear(5, 4))
    with torch.no_grad():
        for parameter, weight in zip(twin.parameters(), model.get_weights()):
            parameter.copy_(torch.tensor(weight.T))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = measure_noise_scale_keras(model, loss, x, y, **SETTINGS)
    other = measure_noise_scale_torch(
        twin, nn.CrossEntropyLoss(), x, y, **SETTINGS
    )
    assert found == pytest.approx(other, rel=1e-4)


@each_framework
def test_the_loss_of_each_example_will_do(measure, case):
    model, loss = case()
    each = {
        "keras": keras.losses.mean_squared_error,
        "torch": nn.MSELoss(reduction="none"),
    }[case.__name__.removesuffix("_case")]
    found = measure(model, loss, *data(), **SETTINGS)
    assert measure(model, each, *data(), **SETTINGS) == pytest.approx(found)


def test_torch_leaves_the_model_as_it_was():
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, 4),
        nn.BatchNorm1d(4),
        nn.Dropout(0.5),
        nn.Linear(4, 1),
    )
    model[1].eval()
    x, y = (torch.tensor(part) for part in data())
    nn.MSELoss()(model(x), y).backward()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    gradients = [each.grad.clone() for each in model.parameters()]
    with torch.no_grad():
        found = measure_noise_scale_torch(model, nn.MSELoss(), x, y, **SETTINGS)
    assert [module.training for module in model] == [True, False, True, True]
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key
    for parameter, gradient in zip(model.parameters(), gradients):
        assert torch.equal(parameter.grad, gradient)
    # Without dropout, the same batches give the same answer.
    again = measure_noise_scale_torch(model, nn.MSELoss(), x, y, **SETTINGS)
    assert again == found


def test_torch_restores_the_modes_after_an_error():
    model, _ = torch_case()
    x, y = data()
    with pytest.raises(ValueError, match="nan"):
        measure_noise_scale_torch(
            model, nn.MSELoss(), x * np.nan, y, **SETTINGS
        )
    assert model.training


def test_keras_leaves_the_model_as_it_was():
    layers = [
        keras.layers.Dense(4),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((NUM_FEATURES,)), *layers])
    loss = keras.losses.MeanSquaredError()
    before = [weight.copy() for weight in model.get_weights()]
    found = measure_noise_scale_keras(model, loss, *data(), **SETTINGS)
    for weight, kept in zip(model.get_weights(), before):
        np.testing.assert_array_equal(weight, kept)
    again = measure_noise_scale_keras(model, loss, *data(), **SETTINGS)
    assert again == found


ON_TORCH = """\
import numpy as np, sys
sys.path.insert(0, {root!r})
import keras
from snippets.measure_noise_scale_keras import measure_noise_scale_keras
assert keras.backend.backend() == "torch"
model = keras.Sequential(
    [keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")]
)
x, y = np.load("x.npy"), np.load("y.npy")
loss = keras.losses.MeanSquaredError()
found = measure_noise_scale_keras(model, loss, x, y, 2, 40, 60)
print(found["noise_scale"], found["low"], found["high"])
"""


def test_keras_on_the_torch_backend_measures_the_same(tmp_path):
    x, y = data()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            ON_TORCH.format(root=str(Path(__file__).parents[2])),
        ],
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = measure_noise_scale_keras(*keras_case(), x, y, **SETTINGS)
    expected = [found[key] for key in ("noise_scale", "low", "high")]
    measured = [float(part) for part in done.stdout.split()[-3:]]
    assert measured == pytest.approx(expected, rel=1e-4)


@each_framework
def test_an_unclear_norm_gives_no_upper_end(measure, case):
    # Labels without a mean and independent of x: hardly any gradient.
    x, y = data()
    y = np.random.default_rng(0).normal(size=y.shape).astype("float32")
    found = [
        measure(*case(), x, y, 1, 2, num_batches=8, seed=seed)
        for seed in seeds_with_a_positive_norm(measure, case, x, y)
    ]
    assert any(each["high"] == np.inf and each["low"] == 0 for each in found)


def seeds_with_a_positive_norm(measure, case, x, y):
    seeds, refused = [], 0
    for seed in range(12):
        try:
            measure(*case(), x, y, 1, 2, num_batches=8, seed=seed)
            seeds.append(seed)
        except ValueError as error:
            assert "use more than num_batches=8" in str(error)
            refused += 1
    assert seeds and refused
    return seeds


@each_framework
@pytest.mark.parametrize(
    "change, said",
    [
        ({"small_batch_size": 0}, "small_batch_size=0 must be at least 1"),
        ({"small_batch_size": 40}, "below large_batch_size=40"),
        ({"num_batches": 1}, "num_batches=1 must be at least 2"),
        ({"large_batch_size": 61}, "have 60 examples; large_batch_size=61"),
    ],
)
def test_bad_sizes_are_refused_with_the_reason(measure, case, change, said):
    with pytest.raises(ValueError, match=said):
        measure(*case(), *data(), **SETTINGS | change)


@each_framework
def test_bad_data_are_refused_with_the_reason(measure, case):
    x, y = data()
    with pytest.raises(ValueError, match="60 examples, but y has 59"):
        measure(*case(), x, y[1:], **SETTINGS)
    with pytest.raises(ValueError, match="loss is inf; it must be finite"):
        measure(*case(), x, y + np.inf, **SETTINGS)


@each_framework
def test_a_gradient_of_zero_is_refused_with_the_reason(measure, case):
    x, y = data()
    with pytest.raises(ValueError, match="estimated as 0; it must be above 0"):
        measure(*case(), x, 0 * y, **SETTINGS)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_model_without_parameters_is_refused(frozen):
    said = "0 trainable parameters; at least 1"
    model = torch_case()[0].requires_grad_(False) if frozen else nn.Flatten()
    with pytest.raises(ValueError, match=said):
        measure_noise_scale_torch(model, nn.MSELoss(), *data(), **SETTINGS)
    model = keras_case()[0] if frozen else keras.Sequential()
    model.trainable = False
    loss = keras.losses.MeanSquaredError()
    with pytest.raises(ValueError, match=said):
        measure_noise_scale_keras(model, loss, *data(), **SETTINGS)
