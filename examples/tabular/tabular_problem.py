# %% [markdown]
# ## Settings
#
# The easy data are `make_classification` with its defaults. `SHORT = True`
# gives a run of seconds, to see it work; its numbers mean nothing.

# %%
import numpy as np
from sklearn.datasets import make_classification

from snippets.stack_data_sets import stack_data_sets
from snippets.time_in_turns import time_in_turns

SHORT = False

BATCH_SIZES = [32, 256, 1024]
NUM_TRAIN = 1600
NUM_VALIDATION = 400
NUM_TEST = 20000
NUM_FEATURES = 10
# Two hidden layers, and one output for two classes.
LAYER_SIZES = [NUM_FEATURES, 64, 32, 1]
DATA = {
    "easy": {},
    "hard": {"n_informative": 6, "n_clusters_per_class": 4, "flip_y": 0.05},
}
NUM_EPOCHS = 3 if SHORT else 50
LEARNING_RATE = 0.001
# From half the published rate, each twice the one before.
LEARNING_RATES = [LEARNING_RATE * 2.0**k for k in range(-1, 2 if SHORT else 8)]
UPDATES_PER_EPOCH = {size: -(-NUM_TRAIN // size) for size in BATCH_SIZES}
# What the smallest size makes in NUM_EPOCHS.
MATCHED_UPDATES = UPDATES_PER_EPOCH[BATCH_SIZES[0]] * NUM_EPOCHS
# One data set, one set of initial weights and one order for each.
NUM_DATA_SETS = 3 if SHORT else 30
FIRST_SEED = 2000
SEEDS = [FIRST_SEED + number for number in range(NUM_DATA_SETS)]
TIMED_EPOCHS = 1 if SHORT else 2
TIMED_REPEATS = 2 if SHORT else 12

# %% [markdown]
# ## Data
#
# Data sets vary far more than initial weights do, so every replicate draws
# its own.


# %%
def draw_data(kind):
    """Inputs and labels to train, to validate and to test."""
    split = [NUM_TRAIN, NUM_VALIDATION, NUM_TEST]

    def draw(seed):
        return make_classification(
            sum(split),
            n_features=NUM_FEATURES,
            random_state=seed,
            **DATA[kind],
        )

    return stack_data_sets(draw, SEEDS, split)


data = {kind: draw_data(kind) for kind in DATA}

# %% [markdown]
# ## Time an epoch
#
# Sizes take turns. The clock is that of the processor, which does not count
# what other programs do meanwhile.


# %%
def time_epochs(trainings):
    """Seconds of an epoch, of each repeat, by batch size.

    trainings: {batch size: function that trains for TIMED_EPOCHS}.
    """
    seconds = time_in_turns(trainings, TIMED_REPEATS, 0)
    return {size: taken / TIMED_EPOCHS for size, taken in seconds.items()}


# %% [markdown]
# ## Which runs to make
#
# Every size runs for `NUM_EPOCHS` epochs at every rate, and at the published
# rate for as many updates as the smallest makes. Every run is looked at as
# often. A model keeps the weights of its lowest validation loss, and only
# these see the test data, once.


# %%
def looks_at(num_updates):
    """The numbers of updates after which to look."""
    looks = np.linspace(0, num_updates, NUM_EPOCHS + 1)[1:]
    return looks.round().astype(int)


def train_all(train):
    """Runs by (kind of data, batch size, rate), and those of equal updates.

    train: (kind, batch size, rate, looks) -> validation loss [looks, data
        sets] and whether each test example is right [data sets, examples].
    A run is (validation loss, test accuracy [data sets]).
    """

    def run(kind, size, rate, num_updates):
        looks = looks_at(num_updates).tolist()
        loss, right = train(kind, size, rate, looks)
        return loss, np.mean(right, axis=1)

    by_rate, matched = {}, {}
    for kind in DATA:
        for size in BATCH_SIZES:
            equal_epochs = UPDATES_PER_EPOCH[size] * NUM_EPOCHS
            for rate in LEARNING_RATES:
                by_rate[kind, size, rate] = run(kind, size, rate, equal_epochs)
            # The smallest size has made them already.
            matched[kind, size] = (
                by_rate[kind, size, LEARNING_RATE]
                if equal_epochs == MATCHED_UPDATES
                else run(kind, size, LEARNING_RATE, MATCHED_UPDATES)
            )
        print("trained on the data:", kind)
    return by_rate, matched
