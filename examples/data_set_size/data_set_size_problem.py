# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import numpy as np
from sklearn.datasets import make_classification

SHORT = False

# Examples to train on; the smaller sets are the first of the largest one.
DATA_SET_SIZES = [500, 2000] if SHORT else [500, 2000, 10000, 50000]
BATCH_SIZES = [8, 32, 128, 512]
REFERENCE_BATCH_SIZE = 32
NUM_VALIDATION = 1000
NUM_TEST = 200 if SHORT else 2000
# Of make_classification: two classes, each of eight clusters; one label in
# forty is wrong.
NUM_FEATURES = 20
NUM_INFORMATIVE = 8
NUM_CLUSTERS = 8
FLIP_Y = 0.05
HIDDEN_UNITS = 32
# Learning rates of Adam, about a factor of three apart, for each batch size.
RATES = {
    8: [0.0003, 0.001, 0.003, 0.01, 0.03],
    32: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    128: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    512: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
}
NUM_EPOCHS = 1 if SHORT else 4
NUM_UPDATES = 16 if SHORT else 250
# One data set, one set of initial weights and one order for each.
NUM_DATA_SETS = 3 if SHORT else 10
FIRST_SEED = 500

# %% [markdown]
# ## Data
#
# A data set is drawn once for each seed, at its largest. The smaller ones are
# parts of it, so that differences are paired.

# %%
SEEDS = [FIRST_SEED + number for number in range(NUM_DATA_SETS)]
LARGEST = DATA_SET_SIZES[-1]


def draw(seed):
    return make_classification(
        LARGEST + NUM_VALIDATION + NUM_TEST,
        n_features=NUM_FEATURES,
        n_informative=NUM_INFORMATIVE,
        n_redundant=0,
        n_clusters_per_class=NUM_CLUSTERS,
        flip_y=FLIP_Y,
        random_state=seed,
    )


# [data sets, examples, features] and [data sets, examples].
x, y = map(np.stack, zip(*(draw(seed) for seed in SEEDS)))
x, y = x.astype("float32"), y.astype("int32")
PARTS = {
    "validation": slice(LARGEST, LARGEST + NUM_VALIDATION),
    "test": slice(LARGEST + NUM_VALIDATION, None),
}


def for_each_rate(part, rates):
    """Inputs and labels of all models: all data sets once for each rate."""
    return [np.concatenate([array[:, part]] * len(rates)) for array in (x, y)]


# %% [markdown]
# ## Which runs to make
#
# All rates and data sets of a batch size at once, for `NUM_EPOCHS` epochs or
# `NUM_UPDATES` updates, whichever are more, with a look after both.

# %%
CELLS = [(count, size) for count in DATA_SET_SIZES for size in BATCH_SIZES]


def train_all(train):
    """Updates of an epoch, and accuracies, by what was trained.

    train: (rates, data, phases, checkpoints, check, seed) ->
        {part: accuracy [checkpoints, rates * data sets]}.
    Returns {(examples, batch size): number} and {(budget, part, examples,
    batch size): [rates, data sets]}.
    """
    updates_per_epoch, accuracy = {}, {}
    for num_examples, batch_size in CELLS:
        rates = RATES[batch_size]
        # A batch of 512 holds all of 500 examples, as a loader would do it.
        held = min(batch_size, num_examples)
        per_epoch = -(-num_examples // held)
        ends = {"epochs": NUM_EPOCHS * per_epoch, "updates": NUM_UPDATES}
        looks = sorted(set(ends.values()))
        history = train(
            rates,
            for_each_rate(slice(num_examples), rates),
            [(looks[-1], held, 1.0)],
            looks,
            {name: for_each_rate(part, rates) for name, part in PARTS.items()},
            FIRST_SEED + batch_size,
        )
        updates_per_epoch[num_examples, batch_size] = per_epoch
        for budget, end in ends.items():
            for part, found in history.items():
                accuracy[budget, part, num_examples, batch_size] = found[
                    looks.index(end)
                ].reshape(len(rates), NUM_DATA_SETS)
        print("trained on", num_examples, "examples in batches of", batch_size)
    return updates_per_epoch, accuracy
