# %% [markdown]
# # Several devices (Keras)
#
# Trains on two processes that share every batch, and compares the gradient,
# the weights and the time with those of one process.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# Each process has one core.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import json
import time
from functools import lru_cache, partial

import keras
from keras import ops

from several_devices_findings import several_devices_findings
from several_devices_problem import *
from snippets.run_processes import run_processes
from snippets.train_rates_keras import train_rates_keras
from snippets.update_on_devices_keras import update_on_devices_keras

if keras.backend.backend() != "tensorflow":
    raise ValueError("this program shares its work by TensorFlow")

import tensorflow as tf

# %% [markdown]
# ## Network


# %%
def build_model(seed, normalise=None, units=HIDDEN_UNITS, dtype="float32"):
    """normalise: None, "local" or "shared" statistics."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((NUM_FEATURES,), dtype=dtype)]
    for _ in range(2):
        layers.append(keras.layers.Dense(units, dtype=dtype))
        if normalise:
            layers.append(
                keras.layers.BatchNormalization(
                    epsilon=EPSILON,
                    synchronized=normalise == "shared",
                    dtype=dtype,
                )
            )
        layers.append(keras.layers.ReLU(dtype=dtype))
    layers.append(keras.layers.Dense(NUM_CLASSES, dtype=dtype))
    return keras.Sequential(layers)


def make_loss(reduction="sum_over_batch_size"):
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=reduction
    )


def build_optimizer(model, *settings):
    optimizer = keras.optimizers.SGD(*settings)
    optimizer.build(model.trainable_variables)
    return optimizer


# %% [markdown]
# ## One case
#
# `weighted` is the update of the page, `means` what one would write for one
# device. Under a strategy, Keras divides a mean loss by the devices, and adds
# up the gradients.


# %%
def one_update(strategy, model, optimizer, batch):
    mean_loss = make_loss()

    def on_device(inputs, labels):
        with tf.GradientTape() as tape:
            loss = mean_loss(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    strategy.run(on_device, args=batch)


# Built once for each seed, since building takes longer than training.
first_weights = {
    kind: [
        build_model(seed, kind, dtype="float64").get_weights() for seed in seeds
    ]
    for kind in (None, "local")
}


class Run:
    """A network that is trained, by this process alone or by all of them."""

    def __init__(self, strategy, normalise, rule, passes, updates):
        self.first_weights = first_weights[normalise and "local"]
        # Momentum only where there are several updates to pass it on to.
        settings = (0.1, MOMENTUM) if updates > 1 else (1.0, 0.0)
        with strategy.scope():
            self.model = build_model(FIRST_SEED, normalise, dtype="float64")
            self.optimizer = build_optimizer(self.model, *settings)
        # Traced once: the sizes of the batches are left open.
        batch = (
            tf.TensorSpec([None, NUM_FEATURES], "float64"),
            tf.TensorSpec([None], "int64"),
        )
        each_loss = make_loss(reduction=None)

        @tf.function(
            input_signature=[(batch,) * passes, tf.TensorSpec([], "float64")]
        )
        def update(batches, size):
            network = strategy, self.model
            if rule == "weighted":
                update_on_devices_keras(
                    *network, each_loss, self.optimizer, batches, size
                )
            else:
                one_update(*network, self.optimizer, batches[0])

        self.traced = update

    def start(self, row):
        """Take the weights of a seed, without tracing anything again."""
        self.model.set_weights(self.first_weights[row])
        for variable in self.optimizer.variables:
            # Its momentum; neither its rate nor its count of updates.
            if variable.shape != ():
                variable.assign(ops.zeros_like(variable))

    def update(self, batches, size):
        batches = [tuple(map(tf.constant, pair)) for pair in batches]
        self.traced(tuple(batches), tf.constant(size, "float64"))

    def weights(self):
        weights = self.model.trainable_variables
        return np.concatenate([each.numpy().ravel() for each in weights])


# %% [markdown]
# ## Who gets which examples of an epoch
#
# By the usual tool.


# %%
def share_epoch(strategy, num_examples, drop):
    """The examples of this process, batch by batch."""
    data = tf.data.Dataset.range(num_examples)
    data = data.batch(EPOCH_BATCH, drop_remainder=drop)
    return [
        np.concatenate(
            [each.numpy() for each in strategy.experimental_local_results(part)]
        ).tolist()
        for part in strategy.experimental_distribute_dataset(data)
    ]


# %% [markdown]
# ## What runs, and how long it takes


# %%
def usual_training(strategy):
    with strategy.scope():
        model = build_model(FIRST_SEED)
        model.compile(keras.optimizers.SGD(0.01), make_loss())
    data = tf.data.Dataset.from_tensor_slices((x_train[0], y_train[0]))
    model.fit(data.batch(GLOBAL_BATCH_SIZE), verbose=0)


def synchronised_layer(strategy):
    with strategy.scope():
        model = build_model(FIRST_SEED, "shared", dtype="float64")
    inputs, _ = batch_of(0, 0, 0, DEVICE_BATCH_SIZE)
    strategy.run(lambda inputs: model(inputs, training=True), (inputs,))


def time_updates(strategy):
    """(seconds of an update by case, number of weights)."""

    def traced(strategy):
        with strategy.scope():
            model = build_model(FIRST_SEED, units=TIMED_UNITS)
            optimizer = build_optimizer(model, 0.01)
        update = partial(one_update, strategy, model, optimizer)
        return tf.function(update), model.count_params()

    # Made here, the second knows of no other device.
    update, count = traced(strategy)
    local, _ = traced(tf.distribute.get_strategy())

    def on_device():
        context = tf.distribute.get_replica_context()
        return context.all_reduce("sum", tf.zeros(count))

    exchange = tf.function(lambda batch: strategy.run(on_device))
    actions = {"exchange": exchange, "update": update, "local": local}
    batches = {
        size: tuple(map(tf.constant, timed_batch(size))) for size in TIMED_SIZES
    }

    def timed(what, size):
        exchange(batches[size])
        start = time.perf_counter()
        for _ in range(TIMED_UPDATES):
            actions[what](batches[size])
        return time.perf_counter() - start

    return take_turns(timed), count


# %% [markdown]
# ## Run
#
# First in two processes, then in one.


# %%
def work(process, addresses):
    """All that the two processes do together."""
    # Tells TensorFlow who takes part, and who of them this is.
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": process},
        }
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return {
        "times": time_updates(strategy),
        "cases": run_cases(lru_cache(partial(Run, strategy)), process),
        "epochs": share_epochs(partial(share_epoch, strategy)),
        "refusals": refusals_of([synchronised_layer, usual_training], strategy),
    }


together = run_processes(work, NUM_DEVICES, TIME_LIMIT)
make_run = lru_cache(partial(Run, tf.distribute.get_strategy()))
alone = run_cases(make_run)
measured = compare_processes(together, alone)

# %% [markdown]
# Then the rates, in one process.


# %%
def train(rates, data, batch_size, looks, check):
    x, y = data
    return train_rates_keras(
        [build_model(seed) for _ in RATE_POWERS for seed in seeds],
        rates,
        x,
        y.astype("int32"),
        [(NUM_UPDATES, batch_size, 1.0)],
        looks,
        {part: (x, y.astype("int32")) for part, (x, y) in check.items()},
        seed=FIRST_SEED + batch_size,
        momentum=MOMENTUM,
    )


accuracy = train_rates(train)

# %% [markdown]
# ## What was found

# %%
results = several_devices_findings(accuracy, **measured)
