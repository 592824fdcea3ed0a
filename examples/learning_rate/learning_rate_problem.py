# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
from functools import partial
from itertools import product

import numpy as np
from sklearn.datasets import load_digits

from snippets.draw_mnist1d import draw_mnist1d
from snippets.stack_data_sets import stack_data_sets
from snippets.time_in_turns import time_in_turns

SHORT = False

BATCH_SIZES = [4, 16, 64, 256, 1024]
# The rules start from the best rate of this size.
REFERENCE_BATCH_SIZE = 16
NUM_EPOCHS = 1 if SHORT else 10
# Of the network: features, units of the hidden layers, classes.
LAYERS = {"mnist1d": [40, 32, 32, 10], "digits": [64, 32, 32, 10]}
# Examples: training, validation, test.
SPLITS = {
    "mnist1d": [1024, 80, 80] if SHORT else [4096, 1000, 1000],
    "digits": [1024, 380, 380],
}
MOMENTUM = 0.9
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": MOMENTUM},
    "adam": {"optimizer": "adam"},
}
# Learning rates: this many factors of two to either side of a middle, which
# moves with the root of the batch size so that the best lies inside.
RATE_STEPS = 4
MIDDLE_RATES = {
    "mnist1d": {"sgd": 0.0625, "momentum": 0.0125, "adam": 0.002},
    "digits": {"sgd": 0.25, "momentum": 0.05, "adam": 0.008},
}
# With few updates the best rates are higher, by so many factors of two.
FEW_UPDATES_STEPS = {"mnist1d": 1, "digits": 0}
# A diverged run counts as this loss, that of a guess twice over.
LARGEST_LOSS = 4.6
NUM_SEEDS = 3 if SHORT else 10
# Of the weights, the data and the order of the examples.
FIRST_SEED = 100
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
# The three sizes whose curves articles show, and the one rate for all.
CURVE_BATCH_SIZES = [64, 256, 1024]
CURVE_RATE = 0.05
CURVE_EPOCHS = 2 if SHORT else 10
WARMUP_BATCH_SIZE = 1024
WARMUP_UPDATES = 16
# The other budgets: so many updates for every size, and the seconds that the
# first of the three sizes takes for them.
EQUAL_UPDATES = 20 if SHORT else 80
TIMED_REPEATS = 2 if SHORT else 10
# Updates in each timing, at the least: starting to train has a cost, too.
TIMED_UPDATES = 64
TIMED_RATE = 0.01

# %% [markdown]
# ## Data
#
# A data set for each seed: the digits in some order, or a new MNIST-1D.


# %%
def draw_digits(seed):
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    return x[order] / 16, y[order]


draws = {
    "mnist1d": partial(draw_mnist1d, 1200 if SHORT else 6100),
    "digits": draw_digits,
}
# Training, validation and test data, each (x, y): inputs [seeds, examples,
# features] and labels [seeds, examples].
data = {
    name: stack_data_sets(draw, SEEDS, SPLITS[name])
    for name, draw in draws.items()
}

# %% [markdown]
# ## What to time
#
# Seconds of the processor, for epochs as a reader would write them.


# %%
def updates_in(name, batch_size, num_epochs):
    return num_epochs * -(-SPLITS[name][0] // batch_size)


def time_updates(prepare):
    """{batch size: seconds of an update, of each repeat}.

    prepare: batch size -> a function that trains for so many epochs.
    """
    epochs = {
        size: -(-TIMED_UPDATES // updates_in("mnist1d", size, 1))
        for size in BATCH_SIZES
    }
    trainings = {size: partial(prepare(size), epochs[size]) for size in epochs}
    seconds = time_in_turns(trainings, TIMED_REPEATS, 0)
    return {
        size: seconds[size] / updates_in("mnist1d", size, epochs[size])
        for size in epochs
    }


# %% [markdown]
# ## The map
#
# Every rate at every batch size: for `NUM_EPOCHS` epochs, and again for
# `EQUAL_UPDATES` updates and for equal seconds. All rates and seeds of a size
# are trained at once.

# %%
BUDGETS = ["epochs", "updates", "seconds"]


def rates_for(budget, name, optimizer, batch_size):
    """Learning rates to try, a factor of two apart."""
    shift = round(np.log2(batch_size / REFERENCE_BATCH_SIZE) / 2)
    if budget != "epochs":
        shift += FEW_UPDATES_STEPS[name]
    steps = np.arange(-RATE_STEPS, RATE_STEPS + 1) + shift
    return MIDDLE_RATES[name][optimizer] * 2.0**steps


def updates_for(budget, name, batch_size, update_seconds):
    """Updates that a batch size makes within a budget."""
    if budget == "epochs":
        return updates_in(name, batch_size, NUM_EPOCHS)
    if budget == "updates":
        return EQUAL_UPDATES
    first = update_seconds[CURVE_BATCH_SIZES[0]].mean()
    cost = update_seconds[batch_size].mean() / first
    return max(1, round(EQUAL_UPDATES / cost))


def training_with(train_rates, models_for, as_tensor):
    """A function that trains all seeds at some rates, and says how well.

    train_rates: train_rates_keras or train_rates_torch.
    models_for: (data, number of rates) -> models, all seeds for each rate.
    as_tensor: makes what train_rates takes of a NumPy array.
    """

    def train(name, optimizer, rates, phases, looks, seed):
        """Validation loss and test accuracy, [looks, rates, seeds]."""
        training, validation, test = (
            [as_tensor(np.concatenate([part] * len(rates))) for part in pair]
            for pair in data[name]
        )
        found = train_rates(
            models_for(name, len(rates)),
            np.repeat(rates, NUM_SEEDS).tolist(),
            *(*training, phases, looks),
            {"validation": validation, "test": test},
            seed,
            **OPTIMIZERS[optimizer],
        )
        loss = np.nan_to_num(found["validation"]["loss"], nan=LARGEST_LOSS)
        shape = len(looks), len(rates), NUM_SEEDS
        return {
            "loss": loss.clip(max=LARGEST_LOSS).reshape(shape),
            "accuracy": found["test"]["accuracy"].reshape(shape),
        }

    return train


def train_map(train, update_seconds):
    """{(budget, data, optimizer, batch size): {"loss", "accuracy"}}, each
    [rates, seeds].
    """
    maps = {}
    for name, optimizer in product(data, OPTIMIZERS):
        for size in BATCH_SIZES:
            for number, budgets in enumerate([BUDGETS[:1], BUDGETS[1:]]):
                ends = [
                    updates_for(budget, name, size, update_seconds)
                    for budget in budgets
                ]
                looks = sorted(set(ends))
                rates = rates_for(budgets[0], name, optimizer, size)
                phases = [(looks[-1], size, 1.0)]
                seed = FIRST_SEED + size + 2 * number
                found = train(name, optimizer, rates, phases, looks, seed)
                for budget, end in zip(budgets, ends):
                    maps[budget, name, optimizer, size] = {
                        key: rows[looks.index(end)]
                        for key, rows in found.items()
                    }
        print("mapped:", name, optimizer)
    return maps


# %% [markdown]
# ## A warm-up
#
# The rate rises in even steps over the first `WARMUP_UPDATES` updates.


# %%
def train_warmups(train):
    """{optimizer: {"loss", "accuracy"}}, each [rates, seeds]."""
    size, warmed = WARMUP_BATCH_SIZE, {}
    last = updates_in("mnist1d", size, NUM_EPOCHS)
    # A short run is too short for it.
    last = max(last, WARMUP_UPDATES + 1)
    phases = [(WARMUP_UPDATES // 8, size, (part + 1) / 9) for part in range(8)]
    phases.append((last - WARMUP_UPDATES, size, 1.0))
    for optimizer in OPTIMIZERS:
        rates = rates_for("epochs", "mnist1d", optimizer, size)
        seed = FIRST_SEED + size
        found = train("mnist1d", optimizer, rates, phases, [last], seed)
        warmed[optimizer] = {key: rows[0] for key, rows in found.items()}
    return warmed


# %% [markdown]
# ## The three curves
#
# Momentum, at one rate; then with the rate raised in proportion from the
# smallest of the three; then with the best rate of each size. Every size makes
# as many updates as the smallest, so that all budgets can be compared.

# %%
CURVE_RULES = ["fixed", "linear", "tuned"]


def train_curves(train, maps):
    """{batch size: {"updates": [looks], "loss", "accuracy": [looks, rules,
    seeds]}}.
    """
    curves, first_size = {}, CURVE_BATCH_SIZES[0]
    last = updates_in("mnist1d", first_size, CURVE_EPOCHS)
    for size in CURVE_BATCH_SIZES:
        study = "epochs", "mnist1d", "momentum", size
        best = maps[study]["loss"].mean(axis=1).argmin()
        rates = [
            CURVE_RATE,
            CURVE_RATE * size / first_size,
            rates_for(*study)[best],
        ]
        per_epoch = updates_in("mnist1d", size, 1)
        looks = {round(point) for point in np.geomspace(1, last, 60)}
        looks |= {per_epoch * epoch for epoch in range(1, CURVE_EPOCHS + 1)}
        looks, seed = sorted(looks), FIRST_SEED + 1 + size
        phases = [(last, size, 1.0)]
        found = train("mnist1d", "momentum", rates, phases, looks, seed)
        curves[size] = {"updates": np.array(looks)} | found
    return curves
