"""The knee of a line that is known, and what the measuring leaves behind."""

import gc
import sys

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.measure_throughput_keras import measure_throughput_keras
from snippets.measure_throughput_torch import measure_throughput_torch

NUM_EXAMPLES, NUM_FEATURES = 64, 3
SIZES = [1, 4, 16, 64]
QUICK = {"num_repeats": 5, "block_seconds": 0.0}


def data():
    random = np.random.default_rng(1)
    x = random.normal(size=(NUM_EXAMPLES, NUM_FEATURES)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def keras_model():
    layers = [keras.layers.Dense(2), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((NUM_FEATURES,)), *layers])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    return model


def torch_model():
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, 2), nn.Dropout(0.5), nn.Linear(2, 1)
    )
    return model, torch.optim.Adam(model.parameters(), lr=0.1)


def measure_keras(sizes=SIZES, model=None, x=None, y=None, **options):
    given = data()
    x, y = given[0] if x is None else x, given[1] if y is None else y
    model = model or keras_model()
    return measure_throughput_keras(model, x, y, sizes, **QUICK | options)


def measure_torch(sizes=SIZES, x=None, y=None, loss=None, **options):
    given = data()
    x, y = given[0] if x is None else x, given[1] if y is None else y
    model, optimizer = options.pop("pair", None) or torch_model()
    loss = loss or nn.MSELoss()
    return measure_throughput_torch(
        model, optimizer, loss, x, y, sizes, **QUICK | options
    )


each_framework = pytest.mark.parametrize(
    "measure", [measure_keras, measure_torch], ids=["keras", "torch"]
)


class Clock:
    """Time that passes only in an update, as much as it is told."""

    def __init__(self, fixed, each):
        self.now, self.fixed, self.each = 0.0, fixed, each
        self.sizes = []

    def perf_counter(self):
        return self.now

    def update(self, size):
        self.sizes.append(size)
        self.now += self.fixed + self.each * size


@pytest.fixture
def clock(monkeypatch):
    """Replaces the time module that the snippets see."""

    def start(measure, fixed, each):
        clock = Clock(fixed, each)
        name = measure.__name__.replace("measure", "measure_throughput")
        module = sys.modules[f"snippets.{name}"]
        monkeypatch.setattr(module, "time", clock)
        if measure is measure_keras:
            model = keras_model()
            monkeypatch.setattr(
                model, "train_on_batch", lambda x, y: clock.update(len(x))
            )
            return clock, {"model": model}
        mean_square = nn.MSELoss()

        def loss(outputs, labels):
            clock.update(len(outputs))
            return mean_square(outputs, labels)

        return clock, {"loss": loss}

    return start


@each_framework
def test_a_known_line_is_found(measure, clock):
    _, given = clock(measure, fixed=0.010, each=0.0005)
    found = measure(**given)
    assert found["knee"] == pytest.approx(20)
    assert found["low"] == pytest.approx(20)
    assert found["high"] == pytest.approx(20)
    assert found["fixed_seconds"] == pytest.approx(0.010)
    assert found["seconds_per_example"] == pytest.approx(0.0005)
    assert found["misfit"] < 1e-6
    assert found["first_seconds"][4] == pytest.approx(0.012)
    for size in SIZES:
        seconds = 0.010 + 0.0005 * size
        assert found["seconds"][size] == pytest.approx(5 * [seconds])
        rate = found["examples_per_second"][size]
        assert rate == pytest.approx(size / seconds)


@each_framework
def test_without_a_slope_there_is_no_knee(measure, clock):
    _, given = clock(measure, fixed=0.010, each=0.0)
    found = measure(**given)
    assert found["knee"] == found["low"] == found["high"] == np.inf


@each_framework
def test_without_a_fixed_cost_the_knee_is_zero(measure, clock):
    _, given = clock(measure, fixed=0.0, each=0.001)
    found = measure(**given)
    assert found["knee"] == pytest.approx(0, abs=1e-9)


@each_framework
def test_a_block_lasts_as_long_as_it_should(measure, clock):
    clock, given = clock(measure, fixed=0.010, each=0.0)
    measure(**given, block_seconds=0.095)
    # Three updates to warm up, and ten for each of five repeats.
    assert clock.sizes.count(4) == 3 + 5 * 10


@each_framework
def test_sizes_take_turns_in_an_order_that_the_seed_gives(measure, clock):
    orders = []
    for seed in (0, 0, 1):
        ticking, given = clock(measure, fixed=0.010, each=0.0)
        measure(**given, seed=seed)
        orders.append(ticking.sizes)
    assert orders[0] == orders[1] != orders[2]
    blocks = np.reshape(orders[0][3 * len(SIZES) :], (5, -1))
    assert all(sorted(block) == SIZES for block in blocks)


def test_the_keras_model_stays_as_it_was():
    model = keras_model()
    model.train_on_batch(*data())
    variables = model.variables + model.optimizer.variables
    before = [variable.numpy() for variable in variables]
    assert gc.isenabled()
    measure_keras(model=model)
    assert gc.isenabled()
    for variable, value in zip(variables, before):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_the_torch_model_stays_as_it_was():
    model, optimizer = torch_model()
    model[1].eval()
    x, y = map(torch.tensor, data())
    nn.MSELoss()(model(x), y).backward()
    optimizer.step()
    weights = [parameter.clone() for parameter in model.parameters()]
    moments = [
        optimizer.state[p]["exp_avg"].clone() for p in model.parameters()
    ]
    assert gc.isenabled()
    measure_torch(pair=(model, optimizer))
    assert gc.isenabled()
    assert [each.training for each in model] == [True, False, True]
    for parameter, weight, moment in zip(model.parameters(), weights, moments):
        assert torch.equal(parameter, weight)
        assert torch.equal(optimizer.state[parameter]["exp_avg"], moment)


@each_framework
def test_a_model_that_has_never_been_trained_can_be_measured(measure):
    found = measure()
    assert set(found["seconds"]) == set(SIZES)
    assert all(rate > 0 for rate in found["examples_per_second"].values())


@each_framework
@pytest.mark.parametrize(
    "given, said",
    [
        ({"sizes": [1, 2]}, "at least 3"),
        ({"sizes": [1, 2, 2]}, "all different"),
        ({"sizes": [0, 1, 2]}, "at least 1"),
        ({"sizes": [1, 2, 65]}, "64 examples.*not 65"),
        ({"num_repeats": 4}, "num_repeats=4"),
        ({"block_seconds": -1.0}, "block_seconds=-1.0"),
        ({"y": np.zeros((63, 1), "float32")}, "64 examples, but y has 63"),
    ],
)
def test_bad_input_is_refused_with_the_reason(measure, given, said):
    with pytest.raises(ValueError, match=said):
        measure(**given)


def test_keras_needs_a_compiled_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="compiled=False"):
        measure_keras(model=model)


def test_torch_refuses_losses_and_optimizers_it_cannot_use():
    with pytest.raises(ValueError, match="shape"):
        measure_torch(loss=nn.MSELoss(reduction="none"))
    assert gc.isenabled()
    model, _ = torch_model()
    _, other = torch_model()
    with pytest.raises(ValueError, match="0 parameters"):
        measure_torch(pair=(model, other))
