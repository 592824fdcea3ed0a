"""Two processes make the update that one would make of the whole batch."""

import json
import os
import re
import sys

import cloudpickle
import keras
import numpy as np
import pytest
import torch
from torch import distributed, nn

from snippets.run_processes import run_processes
from snippets.update_on_devices_keras import update_on_devices_keras
from snippets.update_on_devices_torch import update_on_devices_torch

# The processes cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
NUM_FEATURES, NUM_CLASSES = 3, 4
# {case: [[(start, stop) of each forward pass] of each device]}
CASES = {
    "even": [[(0, 6)], [(6, 12)]],
    "uneven": [[(0, 9)], [(9, 12)]],
    "accumulated": [[(0, 4), (4, 9)], [(9, 10), (10, 12)]],
    "nothing": [[(0, 12)], [(12, 12)]],
}


def data():
    random = np.random.default_rng(1)
    x = random.normal(size=(12, NUM_FEATURES))
    return x, random.integers(NUM_CLASSES, size=12)


def kernel():
    return np.random.default_rng(2).normal(size=(NUM_FEATURES, NUM_CLASSES))


def true_update():
    """The weights after an update with the whole batch, written out."""
    x, y = data()
    weights = kernel()
    scores = np.exp(x @ weights)
    scores /= scores.sum(axis=1, keepdims=True)
    scores[np.arange(len(y)), y] -= 1
    return weights - 0.5 * x.T @ scores / len(y)


def torch_case():
    model = nn.Linear(NUM_FEATURES, NUM_CLASSES, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor(kernel().T))
    return model, nn.CrossEntropyLoss(reduction="none")


def torch_batches(ranges):
    x, y = (torch.tensor(each) for each in data())
    return [(x[start:stop], y[start:stop]) for start, stop in ranges]


def torch_work(process, addresses):
    distributed.init_process_group(
        "gloo",
        init_method=f"tcp://{addresses[0]}",
        rank=process,
        world_size=2,
    )
    found = {}
    for name, ranges in CASES.items():
        model, loss = torch_case()
        shared = nn.parallel.DistributedDataParallel(model)
        optimizer = torch.optim.SGD(shared.parameters(), lr=0.5)
        batches = torch_batches(ranges[process])
        part = update_on_devices_torch(shared, loss, optimizer, batches, 12)
        found[name] = part, model.weight.detach().numpy().T.copy()
    return found


def keras_case():
    layer = keras.layers.Dense(NUM_CLASSES, use_bias=False, dtype="float64")
    model = keras.Sequential(
        [keras.Input((NUM_FEATURES,), dtype="float64"), layer]
    )
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=None)
    return model, optimizer, loss


def keras_work(process, addresses):
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": process},
        }
    )
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    x, y = data()
    found = {}
    for name, ranges in CASES.items():
        with strategy.scope():
            model, optimizer, loss = keras_case()
        model.set_weights([kernel()])
        batches = tuple(
            (tf.constant(x[start:stop]), tf.constant(y[start:stop]))
            for start, stop in ranges[process]
        )
        update = tf.function(
            lambda batches, model=model, loss=loss, optimizer=optimizer: (
                update_on_devices_keras(
                    strategy, model, loss, optimizer, batches, 12
                )
            )
        )
        found[name] = float(update(batches)), model.get_weights()[0]
    return found


@pytest.mark.parametrize("work", [torch_work, keras_work])
def test_two_processes_make_the_update_of_the_whole_batch(work):
    first, second = run_processes(work, time_limit=300)
    model, loss = torch_case()
    (whole,) = torch_batches([(0, 12)])
    mean = loss(model(whole[0]), whole[1]).mean().item()
    for name in CASES:
        for part in (first, second):
            np.testing.assert_allclose(part[name][1], true_update(), atol=1e-12)
        assert first[name][0] + second[name][0] == pytest.approx(mean)


def test_one_process_will_do():
    import tensorflow as tf

    model, loss = torch_case()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    batches = torch_batches([(0, 5), (5, 12)])
    update_on_devices_torch(model, loss, optimizer, batches, 12)
    np.testing.assert_allclose(model.weight.detach().T, true_update())
    model, optimizer, loss = keras_case()
    model.set_weights([kernel()])
    batches = [(tf.constant(x), tf.constant(y)) for x, y in batches]
    strategy = tf.distribute.get_strategy()
    update_on_devices_keras(strategy, model, loss, optimizer, batches, 12)
    np.testing.assert_allclose(model.get_weights()[0], true_update())


def test_bad_batches_and_losses_are_refused_with_the_reason(monkeypatch):
    import tensorflow as tf

    model, loss = torch_case()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    batches = torch_batches([(0, 12)])
    with pytest.raises(ValueError, match="0 micro-batches with 0 examples"):
        update_on_devices_torch(model, loss, optimizer, [], 12)
    with pytest.raises(ValueError, match="with 12 examples; .*batch_size=8"):
        update_on_devices_torch(model, loss, optimizer, batches, 8)
    said = re.escape("the loss has shape ()") + '.*reduction="none"'
    with pytest.raises(ValueError, match=said):
        update_on_devices_torch(
            model, nn.CrossEntropyLoss(), optimizer, batches, 12
        )
    model, optimizer, loss = keras_case()
    strategy = tf.distribute.get_strategy()
    batches = [(tf.constant(x), tf.constant(y)) for x, y in batches]
    with pytest.raises(ValueError, match="0 micro-batches; give at least one"):
        update_on_devices_keras(strategy, model, loss, optimizer, [], 12)
    mean = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="shape .*set reduction=None"):
        update_on_devices_keras(strategy, model, mean, optimizer, batches, 12)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="needs KERAS_BACKEND=tensorflow"):
        update_on_devices_keras(strategy, model, loss, optimizer, batches, 12)
