# %% [markdown]
# # Memory and batch size (Keras)
#
# Predicts by formula what memory training takes, and measures it: in what the
# framework keeps for the backward pass, and in what a process takes.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import gc
import time

import keras
import tensorflow as tf

from memory_findings import memory_findings
from memory_problem import *
from snippets.checkpoint_activations_keras import (
    checkpoint_activations_keras,
)
from snippets.estimate_memory_keras import estimate_memory_keras
from snippets.use_mixed_precision_keras import use_mixed_precision_keras

# %% [markdown]
# ## Device
#
# The device is found.

# %%
backend = keras.backend.backend()
if backend != "tensorflow":
    raise ValueError(f"this program has no path for the {backend} backend")
gpus = tf.config.list_physical_devices("GPU")
ON_GPU = bool(gpus)
if ON_GPU:
    # So that the process that searches gets memory too.
    tf.config.experimental.set_memory_growth(gpus[0], True)

# %% [markdown]
# ## Three networks
#
# A multilayer perceptron with many parameters, a convolutional network with
# few, and a small transformer that predicts the next character. Their data
# are random: memory does not depend on what the numbers are.


# %%
def build_model(seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((NUM_FEATURES,))]
    for _ in range(2):
        layers.append(keras.layers.Dense(HIDDEN_UNITS, activation="relu"))
    return keras.Sequential([*layers, keras.layers.Dense(NUM_CLASSES)])


def build_cnn(seed):
    keras.utils.set_random_seed(seed)
    first, second, third = CHANNELS
    settings = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input((IMAGE_SIDE, IMAGE_SIDE, IMAGE_CHANNELS)),
            keras.layers.Conv2D(first, 3, **settings),
            keras.layers.Conv2D(second, 3, **settings),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(third, 3, **settings),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


def build_transformer(seed):
    """Its blocks are the layers whose names begin with block."""
    keras.utils.set_random_seed(seed)

    def build_block(number):
        shape = (-1, SEQUENCE_LENGTH, HEADS, WIDTH // HEADS)
        x = inputs = keras.Input((SEQUENCE_LENGTH, WIDTH))
        normed = keras.layers.LayerNormalization(epsilon=1e-5)(x)
        query, key, value = (
            keras.ops.transpose(
                keras.ops.reshape(keras.layers.Dense(WIDTH)(normed), shape),
                (0, 2, 1, 3),
            )
            for _ in range(3)
        )
        query = query * (WIDTH // HEADS) ** -0.5
        weights = query @ keras.ops.transpose(key, (0, 1, 3, 2))
        weights = keras.ops.softmax(weights, axis=-1)
        context = keras.ops.transpose(weights @ value, (0, 2, 1, 3))
        context = keras.ops.reshape(context, (-1, SEQUENCE_LENGTH, WIDTH))
        x = x + keras.layers.Dense(WIDTH)(context)
        normed = keras.layers.LayerNormalization(epsilon=1e-5)(x)
        hidden = keras.layers.Dense(FEED_FORWARD, activation="relu")(normed)
        x = x + keras.layers.Dense(WIDTH)(hidden)
        return keras.Model(inputs, x, name=f"block_{number}")

    x = inputs = keras.Input((SEQUENCE_LENGTH,), dtype="int64")
    x = keras.layers.Embedding(VOCABULARY, WIDTH)(x)
    for number in range(NUM_BLOCKS):
        x = build_block(number)(x)
    x = keras.layers.LayerNormalization(epsilon=1e-5)(x)
    # The loss is computed in float32 in any case.
    outputs = keras.layers.Dense(VOCABULARY, dtype="float32")(x)
    return keras.Model(inputs, outputs)


def build(kind, seed=0, mode="plain"):
    if kind == "mlp":
        return build_model(seed)
    if kind == "cnn":
        return build_cnn(seed)
    if mode == "bfloat16":
        return use_mixed_precision_keras(lambda: build_transformer(seed))
    model = build_transformer(seed)
    if mode == "checkpoint":
        blocks = [each for each in model.layers if "block" in each.name]
        checkpoint_activations_keras(model, blocks)
    return model


def make_data(kind, batch_size, seed=0):
    """Inputs and labels of one batch."""
    random = np.random.default_rng(seed)
    if kind == "transformer":
        text = (batch_size, SEQUENCE_LENGTH + 1)
        text = random.integers(VOCABULARY, size=text)
        return tf.constant(text[:, :-1]), tf.constant(text[:, 1:])
    shape = (batch_size, NUM_FEATURES)
    if kind == "cnn":
        shape = (batch_size, IMAGE_SIDE, IMAGE_SIDE, IMAGE_CHANNELS)
    inputs = random.standard_normal(shape, dtype="float32")
    labels = random.integers(NUM_CLASSES, size=batch_size)
    return tf.constant(inputs), tf.constant(labels)


def mean_loss(labels, outputs):
    """Cross-entropy, over all positions where there are several."""
    losses = keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=True
    )
    return keras.ops.mean(losses)


def make_optimizer(name, model):
    if name == "adam":
        optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-7)
    else:
        momentum = MOMENTUM if name == "momentum" else 0.0
        optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=momentum)
    optimizer.build(model.trainable_variables)
    return optimizer


def make_update(model, optimizer, mode="plain"):
    """A function that makes one update and returns the loss before it.

    One graph for all batch sizes, unlike in fit. The mode is in the model.
    """
    (inputs,), (outputs,) = model.inputs, model.outputs
    shapes = [
        tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype),
        tf.TensorSpec((None, *outputs.shape[1:-1]), "int64"),
    ]

    @tf.function(input_signature=shapes, autograph=False)
    def update(inputs, labels):
        with tf.GradientTape() as tape:
            loss = mean_loss(labels, model(inputs, training=True))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [each.value for each in variables])
        optimizer.apply(gradients, variables)
        return loss

    return update


def start_training(kind, name, mode="plain"):
    """The updates of a new network."""
    model = build(kind, mode=mode)
    return make_update(model, make_optimizer(name, model), mode)


# %% [markdown]
# ## What the framework keeps
#
# Counted in the traced update, before any training; and the state that each
# optimizer really has.

# %%
estimates = {
    kind: estimate_memory_keras(build(kind), mean_loss, *make_data(kind, 8))
    for kind in KINDS
}
states = {}
for name in STATE_VALUES:
    states[name] = sum(
        int(np.prod(each.shape)) * tf.as_dtype(each.dtype).size
        for each in make_optimizer(name, build("mlp")).variables
        # Neither its rate nor its count of updates.
        if each.shape != ()
    )
print(estimates)

# %% [markdown]
# ## What a process takes
#
# The process imports Keras and forks once for each measurement. What it took
# before the model was built does not count. On a GPU, the allocator counts
# instead.


# %%
def read_memory(highest=False):
    """Memory of this process, or of the GPU, in bytes."""
    if not ON_GPU:
        return read_resident(highest)
    found = tf.config.experimental.get_memory_info("GPU:0")
    return found["peak" if highest else "current"]


def measure_peak(kind, name, mode, batch_sizes):
    """For each size, bytes needed at most, above what was there before."""
    # Brings in the code of the framework, which is not ours to count.
    tf.matmul(tf.ones((4, 4)), tf.ones((4, 4)))
    gc.collect()
    if ON_GPU:
        tf.config.experimental.reset_memory_stats("GPU:0")
    before, found = read_memory(), []
    update = start_training(kind, name, mode)
    # The first update builds the graph.
    for size in (2, *batch_sizes):
        batch = make_data(kind, size)
        update(*batch)
        del batch
        found.append(read_memory(highest=True) - before)
    return found[1:]


imports = ["import functools, gc, os, sys", "import keras"]
imports += ["import numpy as np", "import tensorflow as tf"]
networks = (build_model, build_cnn, build_transformer, build, make_data)
networks += (mean_loss, make_optimizer, make_update, start_training)
networks += (checkpoint_activations_keras, use_mixed_precision_keras)
measuring = (in_forks, read_memory, read_resident, measure_peak)
source = source_of(globals(), imports, *networks, *measuring)
peaks = measure_tasks(measure_peak, source, ON_GPU)
print(peaks)

# %% [markdown]
# ## Checkpoints and bfloat16
#
# What the traced update of the transformer keeps for the backward pass; the
# gradient; and the time of an update.


# %%
def held_per_example(mode):
    """Bytes that the graph of one more example holds."""
    model = build("transformer", mode=mode)
    batch = make_data("transformer", TIMED_BATCH_SIZE)
    return estimate_memory_keras(model, mean_loss, *batch)["per_example"]


def gradient_of(mode):
    """All gradients of one batch as one vector."""
    model = build("transformer", mode=mode)
    inputs, labels = make_data("transformer", TIMED_BATCH_SIZE)
    with tf.GradientTape() as tape:
        loss = mean_loss(labels, model(inputs, training=True))
    variables = [each.value for each in model.trainable_variables]
    parts = [
        tf.convert_to_tensor(each) for each in tape.gradient(loss, variables)
    ]
    return np.concatenate([each.numpy().ravel() for each in parts])


def clock():
    """Processor time; on a GPU the time, as a loss is read when it is done."""
    return time.perf_counter() if ON_GPU else time.process_time()


batch = make_data("transformer", TIMED_BATCH_SIZE)
held, gradients, seconds, losses = compare_modes(
    held_per_example, gradient_of, start_training, batch, clock
)

# %% [markdown]
# ## The largest batch that fits
#
# The TensorFlow of this process may take only so much memory.


# %%
def search_batch():
    """What the search found, and whether training goes on after it."""
    if ON_GPU:
        limit = tf.config.LogicalDeviceConfiguration(BUDGETS_MIB["gpu"])
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("GPU")[0], [limit]
        )
    update = start_training("transformer", "adam")

    def train_on(batch_size):
        update(*make_data("transformer", batch_size))

    # Builds the graph.
    train_on(2)
    return search(train_on, "gpu" if ON_GPU else "cpu")


searching = (find_largest_batch, search, search_batch)
source = source_of(globals(), imports, *networks, *searching)
limited = {
    "TF_CPU_ALLOCATOR_USE_BFC": "1",
    "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(BUDGETS_MIB["cpu"]),
}
searched = run_in_fresh_process(source, "search_batch", [], limited)
print("budget in MiB, largest batch, errors:", *searched)

# %% [markdown]
# ## What was found

# %%
results = memory_findings(
    estimates, states, peaks, held, gradients, seconds, losses, searched
)
