# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import numpy as np
from sklearn.datasets import load_digits

from snippets.time_in_turns import time_in_turns

SHORT = False

# Cases to count: examples, batch size, epochs.
COUNTED = [
    (1600, 32, 1),
    (1600, 256, 1),
    (1600, 1024, 1),
    (1600, 1600, 1),
    (5000, 32, 1),
    (10000, 32, 1),
    (10000, 64, 1),
    (10000, 1024, 1),
    (1000, 512, 1),
    (1000, 32, 5),
    (20, 32, 1),
]
# The same, with the last partial batch left out.
DROPPED = [(1600, 256, 1), (1000, 512, 1), (20, 32, 1)]
# Examples, batch size and epochs for data whose length is not known.
STREAMED = (20, 8, 3)
# A batch size that leaves one example over, for what is printed as the loss.
LEFT_OVER_EXAMPLES = 1025
LEFT_OVER_BATCH_SIZE = 256
NUM_SHUFFLES = 3 if SHORT else 40
ORDER_EXAMPLES = 100
ORDER_BATCH_SIZE = 25
ORDER_EPOCHS = 5

BATCH_SIZES = [1, 32, 1000]
REFERENCE_BATCH_SIZE = 32
NUM_TRAIN = 1000
NUM_VALIDATION = 300
SPLIT_SEED = 1
NUM_FEATURES = 64
NUM_CLASSES = 10
HIDDEN_UNITS = 32
# Learning rates of each size, a factor of two apart.
RATES = {
    1: [0.025, 0.05, 0.1, 0.2],
    32: [0.1, 0.2, 0.4, 0.8],
    1000: [0.4, 0.8, 1.6],
}
# How long each size trains; enough for the target at its best rate.
NUM_UPDATES = (
    {1: 100, 32: 64, 1000: 50} if SHORT else {1: 4000, 32: 960, 1000: 250}
)
NUM_LOOKS = 5 if SHORT else 60
# Learning rates of each order; "whole" is without the last partial batch.
ORDER_RATES = {
    "reshuffled": [0.2, 0.4, 0.8, 1.6],
    "reshuffled_whole": [0.2, 0.4, 0.8, 1.6],
    "fixed": [0.2, 0.4, 0.8, 1.6],
    "fixed_whole": [0.2],
    "sorted": [0.05, 0.1, 0.2, 0.4, 0.8, 1.6],
}
ORDER_STUDY_EPOCHS = 3 if SHORT else 30
NUM_SEEDS = 3 if SHORT else 20
FIRST_SEED = 500
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
TIMED_REPEATS = 2 if SHORT else 10
# Seconds in each timing, at the least.
TIMED_SECONDS = 0.001 if SHORT else 0.05

# %% [markdown]
# ## Data
#
# Handwritten digits, `8` by `8` pixels, split once for all runs.

# %%
x, y = load_digits(return_X_y=True)
shuffled = np.random.default_rng(SPLIT_SEED).permutation(len(x))
x, y = (x / 16).astype("float32")[shuffled], y.astype("int32")[shuffled]
x_train, y_train = x[:NUM_TRAIN], y[:NUM_TRAIN]
# Validation and test data, one behind the other.
x_check, y_check = x[NUM_TRAIN:], y[NUM_TRAIN:]

# %% [markdown]
# ## Which cases to count


# %%
def count_all(run_case):
    """What is counted, by (kept or dropped, examples, batch size, epochs).

    run_case: (examples, batch size, epochs, drop_last) -> {what: number}.
    """
    cases = [("kept", *case) for case in COUNTED]
    cases += [("dropped", *case) for case in DROPPED]
    return {
        (last, *case): run_case(*case, drop_last=last == "dropped")
        for last, *case in cases
    }


# %% [markdown]
# ## What is taken together
#
# Random orders of the digits for the printed loss, and for the gradient of
# all examples: another order of them, and two parts that share no example.


# %%
def left_over_orders():
    for shuffle in range(NUM_SHUFFLES):
        random = np.random.default_rng([FIRST_SEED, shuffle])
        yield random.permutation(len(x))[:LEFT_OVER_EXAMPLES]


def gradient_distances(full_gradient):
    """Of another order, and of the two parts, in lengths: [2, seeds].

    full_gradient: (seed of the weights, examples) -> the gradient, flat.
    """

    def distance(seed, one, other):
        one, other = full_gradient(seed, one), full_gradient(seed, other)
        return np.linalg.norm(one - other) / np.linalg.norm(one)

    found = []
    for seed in SEEDS:
        mixed = np.random.default_rng(seed).permutation(NUM_TRAIN)
        halves = np.split(mixed, 2)
        found.append(
            [
                distance(seed, np.arange(NUM_TRAIN), mixed),
                distance(seed, *halves),
            ]
        )
    return np.transpose(found)


# %% [markdown]
# ## What to time


# %%
def time_epochs(prepare):
    """Updates of an epoch, and its seconds in each repeat, by batch size.

    prepare: batch size -> a function that trains for an epoch and says how
        many updates it made. Seconds are those of the processor.
    """
    functions = {size: prepare(size) for size in BATCH_SIZES}
    updates = {size: function() for size, function in functions.items()}
    return updates, time_in_turns(functions, TIMED_REPEATS, TIMED_SECONDS)


# %% [markdown]
# ## In which order to train
#
# New in every epoch, the same shuffle in every epoch, or by class. Each seed
# has an order of its own.

# %%
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
left_over = NUM_TRAIN % REFERENCE_BATCH_SIZE


def order_of(rule, epoch):
    """[seeds, examples]."""
    if rule == "sorted":
        by_class = np.argsort(y_train, kind="stable")
        return np.tile(by_class, (NUM_SEEDS, 1))
    random = np.random.default_rng(
        [FIRST_SEED, 0 if rule.startswith("fixed") else epoch]
    )
    in_order = np.tile(np.arange(NUM_TRAIN), (NUM_SEEDS, 1))
    order = random.permuted(in_order, axis=1)
    return order[:, :-left_over] if rule.endswith("whole") else order


def train(start, batch_size, rates, rule, looks):
    """Loss and accuracy, [looks, rates, seeds, part], of the check data.

    start: learning rates -> two functions of the replicas that train at them,
        [rates * seeds]: advance(order, batch size), which makes an update
        with each batch of the orders, and look() -> losses and hits of them,
        [replicas, examples].
    looks: numbers of updates after which to look; rising.
    The parts are validation and test.
    """
    advance, look = start(np.repeat(rates, NUM_SEEDS).astype("float32"))
    history, done = [], 0
    per_epoch = -(-order_of(rule, 0).shape[1] // batch_size)
    for end in looks:
        while done < end:
            first = done % per_epoch
            if first == 0:
                order = order_of(rule, done // per_epoch).astype("int32")
                order = np.tile(order, (len(rates), 1))
            last = min(per_epoch, first + end - done)
            advance(
                order[:, first * batch_size : last * batch_size], batch_size
            )
            done += last - first
        found = np.stack(look()).reshape(2, len(rates), NUM_SEEDS, -1)
        parts = np.split(found, [NUM_VALIDATION], axis=-1)
        history.append(
            np.stack([part.mean(axis=-1) for part in parts], axis=-1)
        )
    return dict(zip(("loss", "accuracy"), np.stack(history, axis=1)))


# %% [markdown]
# ## Which runs to make
#
# Each size in orders that are new in every epoch, and each order in batches
# of the reference size, with a look after every epoch.


# %%
def looks_at(batch_size):
    looks = np.geomspace(1, NUM_UPDATES[batch_size], NUM_LOOKS).round()
    return np.unique(looks.astype(int))


def train_all(start):
    """What `train` finds, by batch size and by order."""
    sizes, orders = {}, {}
    for size, rates in RATES.items():
        sizes[size] = train(start, size, rates, "reshuffled", looks_at(size))
        print("trained with batch size", size)
    for rule, rates in ORDER_RATES.items():
        size = REFERENCE_BATCH_SIZE
        per_epoch = -(-order_of(rule, 0).shape[1] // size)
        epoch_ends = per_epoch * np.arange(1, ORDER_STUDY_EPOCHS + 1)
        orders[rule] = train(start, size, rates, rule, epoch_ends)
        print("trained in the order:", rule)
    return sizes, orders
