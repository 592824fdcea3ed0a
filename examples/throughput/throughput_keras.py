# %% [markdown]
# # How many examples per second (Keras)
#
# Measures the time of an update against batch size for three networks, how
# far that is from the machine's limit, and the time to a target accuracy.
#
# - Install: `pip install keras tensorflow scipy mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the result does not depend on the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import time

import keras
import numpy as np
from keras import layers, ops

from snippets.build_mlp_keras import build_mlp_keras
from snippets.measure_throughput_keras import measure_throughput_keras
from snippets.time_in_turns import time_in_turns
from snippets.train_rates_keras import train_rates_keras
from throughput_findings import throughput_findings
from throughput_problem import *

# %% [markdown]
# ## Device
#
# Float32 in full, in the networks as in the product that is the limit.

# %%
backend = keras.backend.backend()
if backend not in ("tensorflow", "torch"):
    raise ValueError(f"this program has no path for the {backend} backend")
if backend == "tensorflow":
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    tf.config.experimental.enable_tensor_float_32_execution(False)
else:
    import torch

    on_gpu = torch.cuda.is_available()
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
machine = "gpu" if on_gpu else "cpu"
widths, batch_sizes = settings_for(machine)


# %% [markdown]
# ## Networks
#
# A multilayer perceptron, a convolutional network and a transformer, whose
# epsilon is PyTorch's.


# %%
IMAGE_SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 1)


def build_mlp(seed, width):
    return build_mlp_keras([NUM_FEATURES, width, width, NUM_CLASSES], seed)


def build_cnn(seed, width):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(2 * width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(NUM_CLASSES),
        ]
    )


def build_transformer(seed, width):
    keras.utils.set_random_seed(seed)
    tokens = keras.Input((TEXT_LENGTH,), dtype="int32")
    x = layers.Embedding(VOCABULARY, width)(tokens)
    for _ in range(NUM_BLOCKS):
        normed = layers.LayerNormalization(epsilon=1e-5)(x)
        x += layers.MultiHeadAttention(NUM_HEADS, width // NUM_HEADS)(
            normed, normed, use_causal_mask=True
        )
        normed = layers.LayerNormalization(epsilon=1e-5)(x)
        hidden = layers.Dense(4 * width, activation="gelu")(normed)
        x += layers.Dense(width)(hidden)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    return keras.Model(tokens, layers.Dense(VOCABULARY)(x))


builders = {
    "mlp": build_mlp,
    "cnn": build_cnn,
    "transformer": build_transformer,
}


def build(name, seed=FIRST_SEED):
    kind = name.removeprefix("wide_")
    return builders[kind](seed, widths[name])


def compiled(name):
    """A model with its loss: the mean over examples and characters."""
    model = build(name)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


num_weights = {name: build(name).count_params() for name in widths}
print("weights:", num_weights)

# %% [markdown]
# ## The machine's limit
#
# A large product of matrices and a large copy. A GPU is done when a number of
# the result is there.

# %%
rows, numbers = MATRIX_SIZE[machine], COPIED_NUMBERS[machine]
matrix = keras.random.uniform((rows, rows), seed=FIRST_SEED)
if on_gpu:
    source = keras.random.uniform((numbers,), seed=FIRST_SEED)
else:
    source, target = np.ones((2, numbers), "float32")


def multiply():
    ops.convert_to_numpy(ops.matmul(matrix, matrix)[0, 0])


def copy_memory():
    if on_gpu:
        # Reads and writes as much as a copy, which is none in TensorFlow.
        ops.convert_to_numpy((source + 1.0)[0])
    else:
        np.copyto(target, source)


limits = {"product": multiply, "copy": copy_memory}
limit_seconds = time_in_turns(limits, NUM_REPEATS, 0, time.perf_counter)

# %% [markdown]
# ## Throughput
#
# Plain loops of `train_on_batch`; the sizes of a network take turns in random
# order.


# %%
def measure(name):
    return measure_throughput_keras(
        compiled(name),
        *random_data(name, max(batch_sizes[name]), IMAGE_SHAPE),
        batch_sizes[name],
        num_repeats=NUM_REPEATS,
        block_seconds=BLOCK_SECONDS,
    )


throughput = {name: measure(name) for name in widths}

# %% [markdown]
# ## The first update
#
# It builds and traces.


# %%
def start():
    model = compiled("mlp")
    data = random_data("mlp", FIRST_BATCH_SIZE, None)
    x, y = map(ops.convert_to_tensor, data)
    return lambda size: model.train_on_batch(x[:size], y[:size])


first_seconds = time_first_updates(start)

# %% [markdown]
# ## Train to the target
#
# `train_rates_keras` trains all seeds and rates of a batch size at once.


# %%
def train(seeds, rates, parts, phases, looks, **options):
    models = [build("mlp", seed) for seed in seeds]
    fit, validation, test = parts
    check = {"validation": validation, "test": test}
    return train_rates_keras(
        models, rates, *fit, phases, looks, check, **options
    )


runs = train_to_target(train)

# %% [markdown]
# ## What was found

# %%
results = throughput_findings(
    machine, num_weights, throughput, limit_seconds, first_seconds, runs
)
