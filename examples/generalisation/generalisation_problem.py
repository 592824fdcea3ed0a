# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
from functools import partial

import numpy as np
from scipy.special import log_softmax

from snippets.draw_mnist1d import draw_mnist1d
from snippets.stack_data_sets import stack_data_sets
from snippets.time_in_turns import time_in_turns

SHORT = False

BATCH_SIZES = [4, 32, 256, 1000]
REFERENCE_BATCH_SIZE = 32
# Of the network: features, units of the hidden layers, classes.
LAYERS = [40, 32, 32, 10]
# Examples of each replicate, whose data are its own: training, validation,
# test.
SPLIT = [1000, 500, 200] if SHORT else [1000, 500, 2000]
NUM_TRAIN = SPLIT[0]
NUM_SEEDS = 2 if SHORT else 16
FIRST_SEED = 2000
MOMENTUM = 0.9
# Learning rates are powers of two; the exponents tried for each batch size.
RATE_EXPONENTS = {
    4: [-10, -9, -8, -7, -6, -5],
    32: [-7, -6, -5, -4, -3],
    256: [-6, -5, -4, -3, -2, -1, 0],
    1000: [-6, -5, -4, -3, -2, -1, 0, 1],
}
# Three amounts of each budget; the last is the one that is judged. Time is
# counted in the time of an update of REFERENCE_BATCH_SIZE.
AMOUNTS = {
    "epochs": [1, 2] if SHORT else [10, 20, 30],
    "updates": [10, 20] if SHORT else [50, 100, 200],
    "time": [8, 16] if SHORT else [40, 80, 160],
}
# From one look to the next, the number of updates grows by this factor.
LOOK_FACTOR = 1.35
FIRST_LOOK = 5
# Sharpness is measured when the training loss first passes this level.
LEVEL = 2.2 if SHORT else 0.5
MAX_EPOCHS_TO_LEVEL = 4 if SHORT else 1000
SHARPNESS_SEEDS = 2 if SHORT else 12
SHARPNESS_EXPONENTS = {
    4: [-9, -8],
    32: [-7, -6, -5],
    256: [-5, -4, -3],
    1000: [-4, -3, -2],
}
POWER_ITERATIONS = 3 if SHORT else 40
# One layer is multiplied by this, and the next divided.
RESCALED_BY = 10.0
TIMED_REPEATS = 2 if SHORT else 12
# Seconds in each timing, at the least.
TIMED_SECONDS = 0.001 if SHORT else 0.02

# %% [markdown]
# ## Data
#
# MNIST-1D: drawn signals of ten kinds. Each replicate has training,
# validation and test data of its own, so that an interval holds for another
# data set as well.

# %%
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]


# Inputs [seeds, examples, features] and labels [seeds, examples], of each.
parts = stack_data_sets(partial(draw_mnist1d, sum(SPLIT)), SEEDS, SPLIT)
data = dict(zip(("train", "validation", "test"), parts))


def for_rates(part, rates, seeds=NUM_SEEDS):
    """One part of the data, repeated for each rate: [rates * seeds, ...]."""
    x, y = data[part]
    return np.tile(x[:seeds], (rates, 1, 1)), np.tile(y[:seeds], (rates, 1))


# %% [markdown]
# ## What to time
#
# Updates of the sizes in turns, in shuffled batches of the first replicate.


# %%
def shuffled_batches(batch_size):
    random = np.random.default_rng(FIRST_SEED)
    while True:
        order = random.permutation(NUM_TRAIN)
        yield from np.split(order, range(batch_size, NUM_TRAIN, batch_size))


def time_updates(prepare):
    """{batch size: seconds of the processor, of each repeat}.

    prepare: (x, y, batches) -> a function that makes an update with the next
        of the batches, which are examples to take.
    """
    x, y = (part[0] for part in data["train"])
    functions = {
        batch_size: prepare(x, y, shuffled_batches(batch_size))
        for batch_size in BATCH_SIZES
    }
    return time_in_turns(functions, TIMED_REPEATS, TIMED_SECONDS)


# %% [markdown]
# ## Which runs to make
#
# One long run for each size, rate and replicate serves all budgets, as the
# rate stays constant: it is looked at when a budget is spent, and now and
# then for the early stop.


# %%
def budgets_of(batch_size, update_seconds):
    """{(budget, amount): number of updates}."""
    per_epoch = -(-NUM_TRAIN // batch_size)
    slower = update_seconds[batch_size] / update_seconds[REFERENCE_BATCH_SIZE]
    found = {}
    for amount in AMOUNTS["epochs"]:
        found["epochs", amount] = amount * per_epoch
    for amount in AMOUNTS["updates"]:
        found["updates", amount] = amount
    last = max(found.values())
    for amount in AMOUNTS["time"]:
        bought = int(amount / np.median(slower))
        found["time", amount] = min(max(bought, 1), last)
    return found


def train_all(train_rates, build_model, as_tensor, update_seconds):
    """{batch size: {"looks", "budgets", (part, what): [looks, rates, seeds]}}.

    train_rates: train_rates_keras or train_rates_torch.
    build_model: of a seed.
    as_tensor: makes what train_rates takes of a NumPy array.
    """
    runs = {}
    for batch_size, exponents in RATE_EXPONENTS.items():
        budgets = budgets_of(batch_size, update_seconds)
        last = max(budgets.values())
        looks = FIRST_LOOK * LOOK_FACTOR ** np.arange(99)
        looks = {int(look) for look in looks if look < last}
        looks = sorted(looks | set(budgets.values()))
        repeated = {
            part: tuple(map(as_tensor, for_rates(part, len(exponents))))
            for part in data
        }
        history = train_rates(
            [build_model(seed) for _ in exponents for seed in SEEDS],
            np.repeat(2.0 ** np.array(exponents), NUM_SEEDS).tolist(),
            *(*repeated["train"], [(last, batch_size, 1.0)], looks, repeated),
            seed=FIRST_SEED + batch_size,
            momentum=MOMENTUM,
        )
        shape = len(looks), len(exponents), NUM_SEEDS
        runs[batch_size] = {"looks": np.array(looks), "budgets": budgets} | {
            (part, what): found.reshape(shape)
            for part, kinds in history.items()
            for what, found in kinds.items()
        }
        print("trained with batch size", batch_size)
    return runs


# %% [markdown]
# ## Train to one training loss, and measure the sharpness there
#
# The weights of a network are one row of a matrix, so that this training and
# the power iteration are a few lines of NumPy. A network stops moving at the
# first look at which its training loss is below the level. A look follows
# every epoch, or every fourth where an epoch is one update.


# %%
def losses_of(networks, rows, x, y):
    """The mean loss of each network on data of its own."""
    chances = log_softmax(networks.outputs(rows, x), axis=-1)
    return -np.take_along_axis(chances, y[..., None], axis=-1).mean(axis=(1, 2))


def train_to_level(networks, initial, exponents, batch_size, x, y):
    """Weights of all networks when the level is passed, [rates * seeds, n]."""
    rows = np.tile(initial, (len(exponents), 1))
    rates = np.repeat(2.0 ** np.array(exponents), SHARPNESS_SEEDS)
    rates = rates[:, None].astype("float32")
    speed, moving = np.zeros_like(rows), np.ones_like(rates)
    random = np.random.default_rng(FIRST_SEED)
    in_order = np.tile(np.arange(NUM_TRAIN), (len(rows), 1))
    which = np.arange(len(rows))[:, None]
    every = 4 if batch_size == NUM_TRAIN else 1
    for epoch in range(MAX_EPOCHS_TO_LEVEL):
        if epoch % every == 0:
            moving *= losses_of(networks, rows, x, y)[:, None] > LEVEL
            if not moving.any():
                break
        order = random.permuted(in_order, axis=1)
        for start in range(0, NUM_TRAIN, batch_size):
            batch = order[:, start : start + batch_size]
            slopes = networks.gradients(rows, x[which, batch], y[which, batch])
            speed = np.float32(MOMENTUM) * speed + slopes
            rows = rows - moving * rates * speed
    return rows


def sharpness_of(networks, rows, x, y, seed=FIRST_SEED):
    """Top eigenvalue of each network's Hessian, by power iteration."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=rows.shape).astype("float32")
    for _ in range(POWER_ITERATIONS):
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        products = networks.hessians_times(rows, directions, x, y)
        found = (directions * products).sum(axis=1)
        directions = products
    return found


def rescaled(rows):
    """The first layer multiplied, and the weights of the second divided.

    A ReLU passes a positive factor on, so the network computes the same.
    """
    features, hidden, next_hidden, _ = LAYERS
    first = (features + 1) * hidden
    second = first + hidden * next_hidden
    rows = rows.copy()
    rows[:, :first] *= RESCALED_BY
    rows[:, first:second] /= RESCALED_BY
    return rows


def measure_at_level(networks, initial):
    """What networks are like at one training loss, and some others.

    initial: weights, [seeds, n].
    networks: whose weights are rows of a matrix. Its functions are
        outputs(rows, x), gradients(rows, x, y) and hessians_times(rows,
        directions, x, y).
    Returns {batch size: {what: [rates, seeds]}}, and of networks that were
    rescaled and of untrained ones {what: [seeds]}.
    """
    level, rows_of = {}, {}
    for batch_size, exponents in SHARPNESS_EXPONENTS.items():
        train_data, (x_test, y_test) = (
            for_rates(part, len(exponents), SHARPNESS_SEEDS)
            for part in ("train", "test")
        )
        rows = train_to_level(
            networks, initial, exponents, batch_size, *train_data
        )
        hits = networks.outputs(rows, x_test).argmax(axis=-1) == y_test
        shape = len(exponents), SHARPNESS_SEEDS
        level[batch_size] = {
            "loss": losses_of(networks, rows, *train_data).reshape(shape),
            "accuracy": hits.mean(axis=1).reshape(shape),
            "sharpness": sharpness_of(networks, rows, *train_data).reshape(
                shape
            ),
        }
        rows_of[batch_size] = rows.reshape(*shape, -1)
        print("measured the sharpness with batch size", batch_size)

    middle = rows_of[REFERENCE_BATCH_SIZE][1]
    changed = rescaled(middle)
    train_data = for_rates("train", 1, SHARPNESS_SEEDS)
    # From two directions, to see how far the power iteration has come.
    two = [sharpness_of(networks, middle, *train_data, seed) for seed in (0, 1)]
    x_test, _ = for_rates("test", 1, SHARPNESS_SEEDS)
    moved = networks.outputs(changed, x_test) - networks.outputs(middle, x_test)
    factor = sharpness_of(networks, changed, *train_data) / np.max(two, axis=0)
    return level, {
        "factor": factor,
        "two_starts": np.max(two, axis=0) / np.min(two, axis=0),
        "largest_change": np.abs(moved).max(axis=(1, 2)),
        "untrained": sharpness_of(networks, initial, *train_data),
    }
