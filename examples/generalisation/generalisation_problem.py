# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import time

import numpy as np
from mnist1d.data import get_dataset_args, make_dataset

SHORT = False

BATCH_SIZES = [4, 32, 256, 1000]
REFERENCE_BATCH_SIZE = 32
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 32
# Examples of each replicate, whose data are its own.
NUM_TRAIN = 1000
NUM_VALIDATION = 500
NUM_TEST = 200 if SHORT else 2000
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
TIMED_UPDATES = 2 if SHORT else 15
TIMED_REPEATS = 2 if SHORT else 12

# %% [markdown]
# ## Data
#
# MNIST-1D: drawn signals of ten kinds. Each replicate has training,
# validation and test data of its own, so that an interval holds for another
# data set as well.

# %%
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]


def make_data(seed):
    arguments = get_dataset_args()
    arguments.num_samples = NUM_TRAIN + NUM_VALIDATION + NUM_TEST
    # The package keeps back one example at least; it is put in its place.
    arguments.train_split = 1 - 1e-9
    arguments.seed = seed
    drawn = make_dataset(arguments)
    x = np.concatenate([drawn["x"], drawn["x_test"]]).astype("float32")
    y = np.concatenate([drawn["y"], drawn["y_test"]]).astype("int32")
    return x, y


# [seeds, examples, features] and [seeds, examples], of each part.
ends = [NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION]
x_parts, y_parts = (
    np.split(np.stack(drawn), ends, axis=1)
    for drawn in zip(*(make_data(seed) for seed in SEEDS))
)
data = dict(zip(("train", "validation", "test"), zip(x_parts, y_parts)))


def for_rates(part, rates, seeds=NUM_SEEDS):
    """One part of the data, repeated for each rate: [rates * seeds, ...]."""
    x, y = data[part]
    return np.tile(x[:seeds], (rates, 1, 1)), np.tile(y[:seeds], (rates, 1))


# %% [markdown]
# ## In which order to time
#
# Processor time of one thread; the first updates are discarded, and sizes
# take turns.


# %%
def take_turns(make_update):
    """Seconds of an update, of each repeat, by batch size."""

    def seconds(batch_size):
        start = time.process_time()
        for _ in range(TIMED_UPDATES):
            make_update(batch_size)
        return (time.process_time() - start) / TIMED_UPDATES

    rounds = [
        [seconds(batch_size) for batch_size in BATCH_SIZES]
        for _ in range(1 + TIMED_REPEATS)
    ]
    return dict(zip(BATCH_SIZES, np.transpose(rounds[1:])))


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


def train_all(train, update_seconds):
    """{batch size: {"looks", "budgets", (part, what): [looks, rates, seeds]}}.

    train: (batch size, learning rates, looks) -> {part: {what: [looks,
        rates * seeds]}}.
    """
    runs = {}
    for batch_size, exponents in RATE_EXPONENTS.items():
        budgets = budgets_of(batch_size, update_seconds)
        last = max(budgets.values())
        looks = FIRST_LOOK * LOOK_FACTOR ** np.arange(99)
        looks = {int(look) for look in looks if look < last}
        looks = sorted(looks | set(budgets.values()))
        rates = [2.0**exponent for exponent in exponents]
        history = train(batch_size, rates, looks)
        runs[batch_size] = {"looks": np.array(looks), "budgets": budgets} | {
            (part, what): found.reshape(len(looks), len(rates), NUM_SEEDS)
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
def train_to_level(batch_size, exponents, initial, networks):
    """Weights of all networks when the level is passed, [rates * seeds, n]."""
    rows = np.tile(initial, (len(exponents), 1))
    x, y = for_rates("train", len(exponents), SHARPNESS_SEEDS)
    rates = np.repeat(2.0 ** np.array(exponents), SHARPNESS_SEEDS)
    rates = rates[:, None].astype("float32")
    speed, moving = np.zeros_like(rows), np.ones_like(rates)
    random = np.random.default_rng(FIRST_SEED)
    in_order = np.tile(np.arange(NUM_TRAIN), (len(rows), 1))
    which = np.arange(len(rows))[:, None]
    every = 4 if batch_size == NUM_TRAIN else 1
    for epoch in range(MAX_EPOCHS_TO_LEVEL):
        if epoch % every == 0:
            losses, _ = networks.losses_and_hits(rows, x, y)
            moving *= losses[:, None] > LEVEL
            if not moving.any():
                break
        order = random.permuted(in_order, axis=1)
        for start in range(0, NUM_TRAIN, batch_size):
            batch = order[:, start : start + batch_size]
            slopes = networks.gradients(rows, x[which, batch], y[which, batch])
            speed = np.float32(MOMENTUM) * speed + slopes
            rows = rows - moving * rates * speed
    return rows


def sharpness_of(rows, x, y, networks, seed=FIRST_SEED):
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
    first = (NUM_FEATURES + 1) * HIDDEN_UNITS
    second = first + HIDDEN_UNITS**2
    rows = rows.copy()
    rows[:, :first] *= RESCALED_BY
    rows[:, first:second] /= RESCALED_BY
    return rows


def measure_at_level(initial, networks):
    """What networks are like at one training loss, and what rescaling does.

    initial: weights, [seeds, n].
    networks: the functions losses_and_hits(rows, x, y), [networks] each;
        outputs(rows, x); gradients(rows, x, y), [networks, n]; and
        hessians_times(rows, directions, x, y), the same.
    Returns {batch size: {what: [rates, seeds]}} and {what: [seeds]}.
    """
    level, rows_of = {}, {}
    for batch_size, exponents in SHARPNESS_EXPONENTS.items():
        rows = train_to_level(batch_size, exponents, initial, networks)
        train_data, test_data = (
            for_rates(part, len(exponents), SHARPNESS_SEEDS)
            for part in ("train", "test")
        )
        loss, _ = networks.losses_and_hits(rows, *train_data)
        _, accuracy = networks.losses_and_hits(rows, *test_data)
        sharpness = sharpness_of(rows, *train_data, networks)
        shape = len(exponents), SHARPNESS_SEEDS
        level[batch_size] = {
            "loss": loss.reshape(shape),
            "accuracy": accuracy.reshape(shape),
            "sharpness": sharpness.reshape(shape),
        }
        rows_of[batch_size] = rows.reshape(*shape, -1)
        print("measured the sharpness with batch size", batch_size)

    middle = rows_of[REFERENCE_BATCH_SIZE][1]
    changed, train_data = (
        rescaled(middle),
        for_rates("train", 1, SHARPNESS_SEEDS),
    )
    # From two directions, to see how far the power iteration has come.
    one, other = (
        sharpness_of(middle, *train_data, networks, seed) for seed in (0, 1)
    )
    x_test, _ = for_rates("test", 1, SHARPNESS_SEEDS)
    moved = networks.outputs(changed, x_test) - networks.outputs(middle, x_test)
    return level, {
        "factor": sharpness_of(changed, *train_data, networks)
        / np.maximum(one, other),
        "two_starts": np.maximum(one, other) / np.minimum(one, other),
        "largest_change": np.abs(moved).max(axis=(1, 2)),
    }
