# %% [markdown]
# ## Settings
#
# The data, the network and the optimizer are the tutorial's. `SHORT = True`
# gives a run of seconds, to see it work; its numbers mean nothing.

# %%
import numpy as np
from sklearn.datasets import make_blobs

SHORT = False

BATCH_SIZES = [4, 8, 16, 32, 64, 128, 256, 512]
REFERENCE_BATCH_SIZE = 32
NUM_EXAMPLES = 1000
NUM_TRAIN = 500
NUM_CENTERS = 3
NUM_FEATURES = 2
CLUSTER_STD = 2.0
DATA_SEED = 2
HIDDEN_UNITS = 50
LEARNING_RATE = 0.001
# The rate of a size is this one times its ratio to the reference size, to
# the power of:
LEARNING_RATE_RULES = {"fixed": 0.0, "root": 0.5, "linear": 1.0}
NUM_EPOCHS = 8 if SHORT else 100
# What REFERENCE_BATCH_SIZE makes in NUM_EPOCHS.
MATCHED_UPDATES = 16 * NUM_EPOCHS
NUM_SEEDS = 3 if SHORT else 64
FIRST_SEED = 1000
TIMED_REPEATS = 2 if SHORT else 12

# %% [markdown]
# ## Data
#
# The first `NUM_TRAIN` examples are for training, the others for the test.

# %%
x, y = make_blobs(
    NUM_EXAMPLES,
    centers=NUM_CENTERS,
    n_features=NUM_FEATURES,
    cluster_std=CLUSTER_STD,
    random_state=DATA_SEED,
)
x, y = x.astype("float32"), y.astype("int64")
train_data = x[:NUM_TRAIN], y[:NUM_TRAIN]
test_data = x[NUM_TRAIN:], y[NUM_TRAIN:]

# %% [markdown]
# ## When to look
#
# Accuracy rises fast at first, so the first epochs are looked at more often
# than once.


# %%
def looks_at(rule, per_epoch):
    """The numbers of updates after which to test."""
    last = NUM_EPOCHS * per_epoch
    if rule == "fixed":
        last = max(last, MATCHED_UPDATES)
    often = max(1, per_epoch // 8)
    found = set(range(often, 12 * per_epoch + 1, often))
    found |= set(range(per_epoch, NUM_EPOCHS * per_epoch + 1, per_epoch))
    found |= set(range(4, last + 1, max(4, per_epoch)))
    found |= {MATCHED_UPDATES, last}
    return np.array(sorted(update for update in found if update <= last))


# %% [markdown]
# ## Which runs to make
#
# Every size runs for `NUM_EPOCHS` epochs, and at the one rate for
# `MATCHED_UPDATES` updates if that is longer: at one rate for all sizes, and
# with the rate scaled by the root of the batch size or in proportion to it.


# %%
def train_all(train, updates_per_epoch):
    """Test accuracy [looks, seeds] by (rule, batch size).

    train: (batch size, learning rate, looks) -> test accuracy [looks, seeds].
    """
    accuracy = {}
    for rule, exponent in LEARNING_RATE_RULES.items():
        for size in BATCH_SIZES:
            rate = LEARNING_RATE * (size / REFERENCE_BATCH_SIZE) ** exponent
            looks = looks_at(rule, updates_per_epoch[size])
            accuracy[rule, size] = train(size, rate, looks.tolist())
        print("trained with the rate:", rule)
    return accuracy


# %% [markdown]
# ## In which order to time
#
# Sizes take turns, so that a slow moment of the machine falls on all of them.
# The first round is not counted.


# %%
def take_turns(time_epochs):
    """Seconds of an epoch, of each repeat, by batch size."""
    rounds = [
        [time_epochs(batch_size) for batch_size in BATCH_SIZES]
        for _ in range(1 + TIMED_REPEATS)
    ]
    return dict(zip(BATCH_SIZES, zip(*rounds[1:])))
