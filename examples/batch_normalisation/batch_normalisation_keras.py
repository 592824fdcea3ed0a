# %% [markdown]
# # Batch normalisation when the batch is tiny (Keras)
#
# Trains a small network with batch, layer, group and no normalisation, first
# with the batch of the gradient held fixed, then with both batches the same.
#
# - Install: `pip install keras tensorflow scipy mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import time

import keras
import numpy as np
from keras import ops

from batch_normalisation_findings import batch_normalisation_findings
from batch_normalisation_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.normalise_ghost_batches_keras import (
    normalise_ghost_batches_keras,
)

if keras.backend.backend() != "tensorflow":
    raise ValueError("this program compiles its loop with TensorFlow")

import tensorflow as tf

# %% [markdown]
# ## Network
#
# Momentum and epsilon of normalisation are the same in both frameworks, whose
# defaults differ.


# %%
def build_parameters(kind, copies=1):
    """Weights of all seeds, stacked [copies * seeds, ...], for each layer."""
    models = [build_mlp_keras(LAYERS, seed).get_weights() for seed in seeds]
    parameters = []
    for number in range(0, len(models[0]), 2):
        kernel = np.stack([weights[number] for weights in models])
        kernel = np.tile(kernel, (copies, 1, 1))
        shape = (len(kernel), 1, kernel.shape[-1])
        parameters += [kernel, np.zeros(shape, "float32")]
        if kind != "none" and shape[-1] != NUM_CLASSES:
            parameters += [
                np.ones(shape, "float32"),
                np.zeros(shape, "float32"),
            ]
    return parameters


def normalise(kind, x, gamma, beta, ghost_size):
    """(normalised, statistics), the latter of batch normalisation only."""
    if kind == "batch":
        x, *statistics = normalise_ghost_batches_keras(
            x, gamma, beta, ghost_size, EPSILON
        )
        return x, statistics
    together = x.shape[-1] if kind == "layer" else GROUP_SIZE
    groups = ops.reshape(x, (*x.shape[:-1], -1, together))
    centred = groups - ops.mean(groups, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    groups = centred * ops.rsqrt(variance + EPSILON)
    return ops.reshape(groups, x.shape) * gamma + beta, []


def forward(parameters, x, kind, ghost_size, fixed=None):
    return forward_through(
        normalise, ops.relu, parameters, x, kind, ghost_size, fixed
    )


def losses(outputs, labels):
    each = keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=True
    )
    return ops.mean(each, axis=1)


# %% [markdown]
# ## What the framework's own layer does
#
# With one example, and with the variance that it keeps for evaluation.


# %%
def one_example():
    """(refused, output is beta) for a batch of one in training mode."""
    layer = keras.layers.BatchNormalization(epsilon=EPSILON)
    layer.build((None, 4))
    layer.beta.assign(np.full(4, 3.0))
    x = keras.random.normal((1, 4))
    try:
        outputs = ops.convert_to_numpy(layer(x, training=True))
    except ValueError as error:
        print("a batch of one:", error)
        return True, False
    return False, bool((outputs == 3.0).all())


def kept_variance(batch_size):
    """What the layer keeps, divided by the variance that it divides by."""
    x = np.random.default_rng(FIRST_SEED).normal(size=(batch_size, 1))
    layer = keras.layers.BatchNormalization(
        epsilon=EPSILON, momentum=0.0, dtype="float64"
    )
    layer(x, training=True)
    return float(ops.convert_to_numpy(layer.moving_variance)[0] / x.var())


keras.utils.set_random_seed(FIRST_SEED)
alone, kept = one_example(), kept_variance(2)

# %% [markdown]
# ## Compare accumulated gradients
#
# Those of all seeds at once, by a gradient tape.


# %%
def gradients(kind, micro_batch_size):
    """[seeds, weights]: the gradient, accumulated over micro-batches."""
    parameters = [ops.cast(each, "float64") for each in build_parameters(kind)]
    total = 0.0
    for start in range(0, GRADIENT_BATCH_SIZE, micro_batch_size):
        part = slice(start, start + micro_batch_size)
        inputs = ops.cast(x_train[:, part], "float64")
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            outputs, _ = forward(parameters, inputs, kind, micro_batch_size)
            loss = ops.sum(losses(outputs, y_train[:, part]))
            loss = loss * micro_batch_size / GRADIENT_BATCH_SIZE
        total = total + np.concatenate(
            [
                np.reshape(gradient, (NUM_SEEDS, -1))
                for gradient in tape.gradient(loss, parameters)
            ],
            axis=1,
        )
    return total


accumulated = compare_gradients(gradients)

# %% [markdown]
# ## Look at what is normalised
#
# The share of values in the first layer that a ghost batch turns into nearly
# plus or minus one, before any training.


# %%
def share_of_signs(ghost_size):
    kernel = build_parameters("none")[0]
    z = ops.matmul(x_train[:, :GRADIENT_BATCH_SIZE], kernel)
    z, _, _ = normalise_ghost_batches_keras(z, 1.0, 0.0, ghost_size, EPSILON)
    near = np.abs(np.abs(ops.convert_to_numpy(z)) - 1) < 0.01
    return near.mean(axis=(1, 2))


signs = {size: share_of_signs(size) for size in GHOST_SIZES}

# %% [markdown]
# ## Time a plain update
#
# The network with batch normalisation, by `train_on_batch`. Processor
# time of one thread.


# %%
class PlainTraining:
    """The loop that a reader would write."""

    def __init__(self):
        keras.utils.set_random_seed(FIRST_SEED)
        layers = [keras.Input((NUM_FEATURES,))]
        for _ in range(2):
            layers += [
                keras.layers.Dense(HIDDEN_UNITS),
                keras.layers.BatchNormalization(
                    momentum=RUNNING_SHARE, epsilon=EPSILON
                ),
                keras.layers.ReLU(),
            ]
        layers.append(keras.layers.Dense(NUM_CLASSES))
        self.model = keras.Sequential(layers)
        self.model.compile(
            optimizer=keras.optimizers.SGD(0.01, momentum=MOMENTUM),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.random = np.random.default_rng(FIRST_SEED)

    def time_epoch(self, batch_size):
        """Updates of an epoch, seconds and updates that were timed."""
        start = time.process_time()
        order = self.random.permutation(NUM_TRAIN)
        batches = np.split(order, range(batch_size, NUM_TRAIN, batch_size))
        for batch in batches[:TIMED_UPDATES]:
            self.model.train_on_batch(x_train[0, batch], y_train[0, batch])
        spent = time.process_time() - start
        return len(batches), spent, min(TIMED_UPDATES, len(batches))


plain = PlainTraining()
timed = take_turns(plain.time_epoch)

# %% [markdown]
# ## Train
#
# All seeds and rates of a configuration at once, in a loop that TensorFlow
# compiles. A rate multiplies the loss of its networks, which for SGD with
# momentum is the same as a rate.


# %%
def keep_statistics(running, found):
    """Running statistics after ghost batches that came one by one."""
    kept = []
    for (mean, variance), (means, variances) in zip(running, found):
        count = means.shape[1]
        shares = RUNNING_SHARE ** np.arange(count - 1, -1, -1.0)
        shares = (1 - RUNNING_SHARE) * shares[:, None].astype("float32")
        stays = RUNNING_SHARE**count
        new_mean = ops.sum(means * shares, axis=1, keepdims=True)
        new_variance = ops.sum(variances * shares, axis=1, keepdims=True)
        kept.append((stays * mean + new_mean, stays * variance + new_variance))
    return kept


def look(parameters, kind, ghost_size, running):
    """What evaluation finds with the weights as they are now."""
    copies = parameters[0].shape[0] // NUM_SEEDS

    def answer(x, fixed):
        x = np.tile(x, (copies, 1, 1))
        outputs, _ = forward(parameters, x, kind, ghost_size, fixed)
        return ops.convert_to_numpy(ops.argmax(outputs, axis=2))

    # Statistics of all training examples.
    everything = np.tile(x_train, (copies, 1, 1))
    _, population = forward(parameters, everything, kind, NUM_TRAIN)
    return look_at(answer, kind, running, population)


def train(kind, batch_size, ghost_size, rate_powers, looks):
    """{number of updates: what `look` found}, for each of looks."""
    copies = len(rate_powers)
    parameters = [
        keras.Variable(each) for each in build_parameters(kind, copies)
    ]
    optimizer = keras.optimizers.SGD(1.0, momentum=MOMENTUM)
    optimizer.build(parameters)
    rates = 3.0 ** np.repeat(rate_powers, NUM_SEEDS).astype("float32")
    units = np.zeros((copies * NUM_SEEDS, 1, HIDDEN_UNITS), "float32")
    running = [
        (keras.Variable(units), keras.Variable(units + 1)) for _ in range(2)
    ]
    random = np.random.default_rng(FIRST_SEED + batch_size)
    # Data sets lie one behind the other, so that one index finds an example.
    x, y = x_train.reshape(-1, NUM_FEATURES), y_train.reshape(-1)
    rows = np.arange(NUM_SEEDS, dtype="int32")[:, None] * NUM_TRAIN

    def one_update(start, order):
        batch = tf.slice(order, [0, start], [NUM_SEEDS, batch_size])
        # The same examples for every rate.
        inputs = ops.tile(ops.take(x, batch, axis=0), (copies, 1, 1))
        labels = ops.tile(ops.take(y, batch, axis=0), (copies, 1))
        with tf.GradientTape() as tape:
            weights = [parameter.value for parameter in parameters]
            tape.watch(weights)
            outputs, found = forward(weights, inputs, kind, ghost_size)
            loss = ops.sum(losses(outputs, labels) * rates)
        optimizer.apply(tape.gradient(loss, weights), parameters)
        if kind == "batch":
            kept = keep_statistics(running, found)
            for pair, new in zip(running, kept):
                for variable, value in zip(pair, new):
                    variable.assign(value)
        return start + batch_size, order

    # One call runs every update up to the next look.
    @tf.function(
        input_signature=[tf.TensorSpec([NUM_SEEDS, None], tf.int32)],
        autograph=False,
    )
    def advance(order):
        tf.while_loop(
            lambda start, order: start < tf.shape(order)[1],
            one_update,
            [0, order],
        )

    in_order = np.tile(np.arange(NUM_TRAIN, dtype="int32"), (NUM_SEEDS, 1))
    num_epochs = -(-max(looks) * batch_size // NUM_TRAIN)
    order = np.concatenate(
        [random.permuted(in_order, axis=1) for _ in range(num_epochs)], axis=1
    )
    history, done = {}, 0
    for update in sorted(looks):
        advance(order[:, done * batch_size : update * batch_size] + rows)
        done = update
        history[update] = look(
            [parameter.value for parameter in parameters],
            kind,
            ghost_size,
            [(mean.value, variance.value) for mean, variance in running],
        )
    return history


trained = train_all(train, *timed)

# %% [markdown]
# ## What was found

# %%
results = batch_normalisation_findings(
    alone, kept, signs, accumulated, *timed, *trained
)
