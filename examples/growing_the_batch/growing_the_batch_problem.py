# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
from functools import partial
from itertools import product

import numpy as np

from snippets.draw_mnist1d import draw_mnist1d
from snippets.grow_batch_size import grow_batch_size
from snippets.stack_data_sets import stack_data_sets

SHORT = False

# Where training starts; the batch grows from there.
START_BATCH_SIZES = [16, 64, 256]
FACTOR = 4
NUM_EPOCHS = 4 if SHORT else 16
# Epochs after which the rate falls or the batch grows.
MILESTONES = [2, 3] if SHORT else [8, 12]
# Examples: training, validation, test.
SPLIT = [4096, 1000, 2000]
# Of the network: features, units of the hidden layers, classes.
LAYERS = [40, 32, 32, 10]
MOMENTUM = 0.9
OPTIMIZERS = {
    "momentum": {"optimizer": "sgd", "momentum": MOMENTUM},
    "adam": {"optimizer": "adam"},
}
# Learning rates to begin with: factors of two about a middle, which belongs
# to the smallest start and grows with the power of the start.
RATE_STEPS = [-2, -1, 0, 1, 2]
MIDDLE_RATES = {"momentum": 0.015, "adam": 0.006}
RATE_POWERS = {"momentum": 1.0, "adam": 0.5}
NUM_SEEDS = 3 if SHORT else 20
# Of the weights, the data and the order of the examples.
FIRST_SEED = 300
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
# A diverged run counts as this loss.
LARGEST_LOSS = 4.6
# Of the updates that are timed.
TIMED_BATCH_SIZES = [16, 64, 256]
TIMED_RATE = 0.01
TIMED_SECONDS = 0.05 if SHORT else 0.15
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data
#
# A new MNIST-1D for each seed.

# %%
# Training, validation and test data, each (x, y): inputs [seeds, examples,
# features] and labels [seeds, examples].
parts = stack_data_sets(partial(draw_mnist1d, sum(SPLIT)), SEEDS, SPLIT)

# %% [markdown]
# ## Ways to train
#
# The rate falls, the batch grows, both or neither; in a fifth way the batch
# grows by the square of the factor.

# %%
# What multiplies the batch and divides the rate at a milestone.
WAYS = {
    "neither": (1, 1),
    "decay": (1, FACTOR),
    "grow": (FACTOR, 1),
    "both": (FACTOR, FACTOR),
    "grow_square": (FACTOR**2, 1),
}


def epochs_of(way, start):
    """[(updates, batch size, factor of the rate)], one for each epoch."""
    batch_factor, rate_factor = WAYS[way]
    sizes = [start] * (len(MILESTONES) + 1)
    if batch_factor > 1:
        grown = grow_batch_size(start, MILESTONES, batch_factor, SPLIT[0])
        sizes = [size for _, size, _ in grown]
    firsts, lasts = [0, *MILESTONES], [*MILESTONES, NUM_EPOCHS]
    return [
        (-(-SPLIT[0] // size), size, float(rate_factor) ** -number)
        for number, size in enumerate(sizes)
        for _ in range(firsts[number], lasts[number])
    ]


def looks_at(epochs):
    """The numbers of updates at the ends of the epochs."""
    return np.cumsum([updates for updates, _, _ in epochs]).tolist()


# %% [markdown]
# ## Which runs to make
#
# All ways from the smallest start, and from the larger ones only the two to
# compare. The rate is chosen once for each start, where it falls, by the
# lowest validation loss at the end; then every way begins at it. All seeds
# and rates are trained at once.


# %%
def capped(loss):
    """The loss with a bound, so that a diverged run has one, too."""
    return np.nan_to_num(loss, nan=LARGEST_LOSS).clip(max=LARGEST_LOSS)


def train_all(train_rates, models_for, as_tensor):
    """The best rate by (optimizer, start), and {(optimizer, start, way):
    {"loss": validation [epochs, seeds], "accuracy": test [seeds]}}.

    train_rates: train_rates_keras or train_rates_torch.
    models_for: number of rates -> models, all seeds for each rate.
    as_tensor: makes what train_rates takes of a NumPy array.
    """

    def train(optimizer, rates, epochs, looks, seed):
        training, validation, test = (
            [as_tensor(np.concatenate([part] * len(rates))) for part in pair]
            for pair in parts
        )
        return train_rates(
            models_for(len(rates)),
            np.repeat(rates, NUM_SEEDS).tolist(),
            *(*training, epochs, looks),
            {"validation": validation, "test": test},
            seed,
            **OPTIMIZERS[optimizer],
        )

    best, runs = {}, {}
    for optimizer, start in product(OPTIMIZERS, START_BATCH_SIZES):
        middle = MIDDLE_RATES[optimizer]
        middle *= (start / START_BATCH_SIZES[0]) ** RATE_POWERS[optimizer]
        rates = middle * 2.0 ** np.array(RATE_STEPS)
        seed, epochs = FIRST_SEED + 2 * start, epochs_of("decay", start)
        found = train(optimizer, rates, epochs, looks_at(epochs)[-1:], seed)
        loss = capped(found["validation"]["loss"][-1])
        chosen = loss.reshape(len(rates), NUM_SEEDS).mean(axis=1).argmin()
        best[optimizer, start] = int(chosen)
        rate = rates[[chosen]]
        ways = WAYS if start == START_BATCH_SIZES[0] else ["decay", "grow"]
        for way in ways:
            epochs = epochs_of(way, start)
            # The same order of examples for each way, and not the one that
            # chose.
            found = train(optimizer, rate, epochs, looks_at(epochs), seed + 1)
            runs[optimizer, start, way] = {
                "loss": found["validation"]["loss"],
                "accuracy": found["test"]["accuracy"][-1],
            }
        print("trained:", optimizer, "from", start)
    return best, runs
