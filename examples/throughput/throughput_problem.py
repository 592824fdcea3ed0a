# %% [markdown]
# ## Settings
#
# A GPU also gets wide networks, since small ones cannot keep it busy.
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import gc
import time

import numpy as np

from snippets.draw_mnist1d import draw_mnist1d
from snippets.stack_data_sets import stack_data_sets

SHORT = False

NUM_FEATURES = 40
NUM_CLASSES = 10
# Height and width of an image, in pixels.
IMAGE_SIZE = 28
# Characters in a text, and characters that there are.
TEXT_LENGTH = 32
VOCABULARY = 64
NUM_HEADS = 4
NUM_BLOCKS = 2
# Units, channels of the first convolution, size of an embedding.
WIDTHS = {"mlp": 128, "cnn": 16, "transformer": 64}
GPU_WIDTHS = {"wide_mlp": 4096, "wide_cnn": 128, "wide_transformer": 1024}
BATCH_SIZES = {
    "mlp": [1, 4, 16, 64, 256, 1024, 4096],
    "cnn": [1, 2, 4, 8, 16, 32, 64, 128, 256],
    "transformer": [1, 2, 4, 8, 16, 32, 64],
}
GPU_BATCH_SIZES = {
    "mlp": [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144],
    "cnn": [1, 16, 64, 256, 1024, 4096, 16384],
    "transformer": [1, 16, 64, 256, 1024, 4096],
    "wide_mlp": [1, 16, 256, 1024, 4096, 16384],
    "wide_cnn": [1, 16, 64, 256, 1024],
    "wide_transformer": [1, 4, 16, 64, 256],
}
# The square matrices that are multiplied, in rows, and what is copied, in
# float32 numbers.
MATRIX_SIZE = {"cpu": 64 if SHORT else 1024, "gpu": 8192}
COPIED_NUMBERS = {"cpu": 1000 if SHORT else 32_000_000, "gpu": 250_000_000}
LEARNING_RATE = 0.001
NUM_REPEATS = 5 if SHORT else 12
BLOCK_SECONDS = 0.0 if SHORT else 0.03
# New networks, for the time of a first update.
NUM_FIRST = 2 if SHORT else 10
FIRST_BATCH_SIZE = 64

# The time to a target, for the multilayer perceptron.
TARGET_SIZES = [16, 64, 1024] if SHORT else [16, 64, 256, 1024, 4096]
# Examples: training, validation, test.
SPLIT = [4096, 500, 500]
TARGET_ACCURACY = 0.2 if SHORT else 0.5
# Learning rates of Adam for each size.
RATES = {
    16: [0.00125, 0.0025, 0.005, 0.01],
    64: [0.0025, 0.005, 0.01, 0.02],
    256: [0.005, 0.01, 0.02],
    1024: [0.005, 0.01, 0.02, 0.04],
    4096: [0.005, 0.01, 0.02, 0.04],
}
MOST_UPDATES = 8 if SHORT else 4000
# A look comes after this many times the updates of the one before.
LOOK_FACTOR = 1.06
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 500
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]


def settings_for(machine):
    """Widths and batch sizes of the networks. machine: "cpu" or "gpu"."""
    if machine == "gpu":
        return WIDTHS | GPU_WIDTHS, GPU_BATCH_SIZES
    return WIDTHS, BATCH_SIZES


# %% [markdown]
# ## Data without meaning
#
# Of the convolutional network, for images, and of the transformer, which
# predicts each next character, only the time is measured.


# %%
def random_data(name, count, image_shape):
    """Inputs and labels of so many examples for a network."""
    random = np.random.default_rng(FIRST_SEED)
    if name.endswith("transformer"):
        texts = random.integers(VOCABULARY, size=(count, TEXT_LENGTH + 1))
        return texts[:, :-1], texts[:, 1:]
    shape = image_shape if name.endswith("cnn") else (NUM_FEATURES,)
    x = random.normal(size=(count, *shape)).astype("float32")
    return x, random.integers(NUM_CLASSES, size=count)


# %% [markdown]
# ## The first update
#
# Of new networks, in a process that has trained others before. Updates of the
# same batch size follow, then a second size, then a third.


# %%
def time_first_updates(start):
    """Seconds [networks, 4]: first update, a later one, second, third size.

    start: () -> function that makes one update at a batch size.
    """

    def seconds_of(update, batch_size):
        began = time.perf_counter()
        update(batch_size)
        return time.perf_counter() - began

    def time_one():
        update = start()
        first, *later = (
            seconds_of(update, FIRST_BATCH_SIZE) for _ in range(10)
        )
        second = seconds_of(update, FIRST_BATCH_SIZE - 1)
        third = seconds_of(update, FIRST_BATCH_SIZE - 2)
        return first, np.median(later), second, third

    gc.disable()
    seconds = [time_one() for _ in range(NUM_FIRST)]
    gc.enable()
    return np.array(seconds)


# %% [markdown]
# ## Time to a target
#
# MNIST-1D, drawn anew for each seed. All seeds and rates of a batch size are
# trained at once; how long an update takes is measured in a plain loop. A rate
# is chosen where the last seed reaches the target soonest on validation data;
# the updates are those to the target on test data.


# %%
def list_looks():
    """Updates after which to look, dense enough to tell the sizes apart."""
    looks = [1]
    while looks[-1] < MOST_UPDATES:
        looks.append(max(looks[-1] + 1, int(LOOK_FACTOR * looks[-1])))
    return looks


def first_reached(accuracy):
    """Updates to the target [rates, seeds]; inf where it was not reached.

    accuracy: [looks, rates * seeds].
    """
    reached = accuracy >= TARGET_ACCURACY
    looks = np.array(list_looks(), dtype=float)
    updates = looks[reached.argmax(axis=0)]
    updates[~reached.any(axis=0)] = np.inf
    return updates.reshape(-1, NUM_SEEDS)


def stop(history):
    """Whether all that is needed of this batch size has been seen.

    At the rate where the last seed is soonest on validation data, every seed
    has to reach the target on test data too.
    """
    updates = {
        part: first_reached(np.stack(found["accuracy"]))
        for part, found in history.items()
    }
    chosen = updates["validation"].max(axis=1).argmin()
    needed = [updates[part][chosen] for part in ("validation", "test")]
    return bool(np.isfinite(needed).all())


def train_to_target(train):
    """{batch size: {"validation" and "test": accuracy [looks, models]}}.

    The models are all seeds at the first rate, then at the second.
    train: (seeds, rates, parts, phases, looks, options) -> history; see
        train_rates. Parts are inputs and labels to train, validate and test.
    """
    data = stack_data_sets(
        lambda seed: draw_mnist1d(sum(SPLIT), seed), SEEDS, SPLIT
    )
    runs = {}
    for size in TARGET_SIZES:
        count = len(RATES[size])
        # All data sets once for each rate, in the order of the models.
        parts = [
            (np.tile(x, (count, 1, 1)), np.tile(y, (count, 1))) for x, y in data
        ]
        looks = list_looks()
        history = train(
            SEEDS * count,
            np.repeat(RATES[size], NUM_SEEDS).tolist(),
            parts,
            [(looks[-1], size, 1.0)],
            looks,
            seed=FIRST_SEED + size,
            optimizer="adam",
            stop=stop,
        )
        runs[size] = {
            part: found["accuracy"] for part, found in history.items()
        }
        print("trained with batches of", size)
    return runs
