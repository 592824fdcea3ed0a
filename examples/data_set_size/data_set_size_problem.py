# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import numpy as np
from sklearn.datasets import make_classification

from snippets.stack_data_sets import stack_data_sets

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
# Of the network: features, units of the hidden layer, classes.
LAYERS = [NUM_FEATURES, 32, 2]
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
SPLIT = [LARGEST, NUM_VALIDATION, NUM_TEST]


def draw(seed):
    return make_classification(
        sum(SPLIT),
        n_features=NUM_FEATURES,
        n_informative=NUM_INFORMATIVE,
        n_redundant=0,
        n_clusters_per_class=NUM_CLUSTERS,
        flip_y=FLIP_Y,
        random_state=seed,
    )


# Inputs [data sets, examples, features] and labels [data sets, examples].
training, validation, test = stack_data_sets(draw, SEEDS, SPLIT)

# %% [markdown]
# ## Which runs to make
#
# All rates and data sets of a batch size at once, for `NUM_EPOCHS` epochs or
# `NUM_UPDATES` updates, whichever are more, with a look after both.

# %%
CELLS = [(count, size) for count in DATA_SET_SIZES for size in BATCH_SIZES]


def train_all(train_rates, models_for, as_tensor):
    """Updates of an epoch, and accuracies, by what was trained.

    train_rates: train_rates_keras or train_rates_torch.
    models_for: number of rates -> models, one for each seed for each rate.
    as_tensor: makes what train_rates takes of a NumPy array.
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
        some = [part[:, :num_examples] for part in training]
        # All data sets once for each rate, in the order of the models.
        some, *check = (
            [as_tensor(np.concatenate([part] * len(rates))) for part in pair]
            for pair in (some, validation, test)
        )
        history = train_rates(
            models_for(len(rates)),
            np.repeat(rates, NUM_DATA_SETS).tolist(),
            *(*some, [(looks[-1], held, 1.0)], looks),
            dict(zip(("validation", "test"), check)),
            FIRST_SEED + batch_size,
            optimizer="adam",
        )
        updates_per_epoch[num_examples, batch_size] = per_epoch
        for budget, end in ends.items():
            for part, found in history.items():
                at_end = found["accuracy"][looks.index(end)]
                accuracy[budget, part, num_examples, batch_size] = (
                    at_end.reshape(len(rates), NUM_DATA_SETS)
                )
        print("trained on", num_examples, "examples in batches of", batch_size)
    return updates_per_epoch, accuracy
