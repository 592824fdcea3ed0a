# %% [markdown]
# # Batch size and the size of the data set (PyTorch)
#
# Trains on few and on many examples with four batch sizes, and asks whether
# the best one grows with the data: at one rate, tuned, and at equal updates.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_classification
from torch import nn

from snippets.mean_interval import mean_interval
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
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
# Two of them are also kept for all sizes: the default of Adam, and tenfold.
KEPT_RATES = {"low": 0.001, "high": 0.01}
NUM_EPOCHS = 1 if SHORT else 4
NUM_UPDATES = 16 if SHORT else 250
# One data set, one set of initial weights and one order for each.
NUM_DATA_SETS = 3 if SHORT else 10
FIRST_SEED = 500
# "No difference" is less than this, in percentage points of test accuracy.
MARGIN_POINTS = 2.0

# %% [markdown]
# ## Data and network
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


def load():
    """(training, validation, test), each (x, y), a data set for each seed."""
    x, y = map(np.stack, zip(*(draw(seed) for seed in SEEDS)))
    sizes = [LARGEST, NUM_VALIDATION, NUM_TEST]
    x = torch.tensor(x, dtype=torch.float32).split(sizes, dim=1)
    return list(zip(x, torch.tensor(y).split(sizes, dim=1)))


def for_each_rate(part, num_rates):
    """All data sets once for each rate, in the order of the models."""
    return [torch.cat([each] * num_rates) for each in part]


training, validation, test = load()
check = {"validation": validation, "test": test}


def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, 2),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def models_for(num_rates):
    return [build_model(seed) for _ in range(num_rates) for seed in SEEDS]


# %% [markdown]
# ## Train
#
# All rates and data sets of a batch size at once, for `NUM_EPOCHS` epochs or
# `NUM_UPDATES` updates, whichever are more, with a look after both.

# %%
accuracy = {}
updates_per_epoch = {}
for num_examples in DATA_SET_SIZES:
    some = [part[:, :num_examples] for part in training]
    for batch_size in BATCH_SIZES:
        rates = RATES[batch_size]
        # A batch of 512 holds all of 500 examples, as a loader would do it.
        held = min(batch_size, num_examples)
        cell = num_examples, batch_size
        updates_per_epoch[cell] = -(-num_examples // held)
        ends = {
            "epochs": NUM_EPOCHS * updates_per_epoch[cell],
            "updates": NUM_UPDATES,
        }
        checkpoints = sorted(set(ends.values()))
        history = train_rates_torch(
            models_for(len(rates)),
            np.repeat(rates, NUM_DATA_SETS).tolist(),
            *for_each_rate(some, len(rates)),
            [(checkpoints[-1], held, 1.0)],
            checkpoints,
            {
                part: for_each_rate(pair, len(rates))
                for part, pair in check.items()
            },
            FIRST_SEED + batch_size,
            optimizer="adam",
        )
        for budget, end in ends.items():
            for part in check:
                # [rates, data sets]
                accuracy[budget, part, *cell] = history[part]["accuracy"][
                    checkpoints.index(end)
                ].reshape(len(rates), NUM_DATA_SETS)
    print("trained on", num_examples, "examples")

# %% [markdown]
# ## Measure
#
# The rate of a cell is the one with the highest validation accuracy, on
# average over the data sets. Differences are paired by data set.

# %%
FEW = {"because": "short run"} if SHORT else {}
smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
fewest = DATA_SET_SIZES[0]
values = {}


def put(key, samples, unit="percentage points"):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW


random = np.random.default_rng(FIRST_SEED)
draws = random.integers(NUM_DATA_SETS, size=(2000, NUM_DATA_SETS))


def tuned_rate(budget, num_examples, batch_size):
    """Index of the best rate; its interval says what other draws choose."""
    found = accuracy[budget, "validation", num_examples, batch_size]
    best = int(found.mean(axis=1).argmax())
    redrawn = found[:, draws].mean(axis=2).argmax(axis=0)
    ends = np.quantile(redrawn, [0.025, 0.975]).round().astype(int)
    ends = min(ends[0], best), max(ends[1], best)
    values[f"rate.{budget}.{num_examples}.{batch_size}"] = {
        "value": RATES[batch_size][best],
        "ci": [RATES[batch_size][end] for end in ends],
        "n": NUM_DATA_SETS,
        "unit": "learning rate",
    } | FEW
    return best


# What is held equal, and the rate: kept for all sizes, or tuned for each.
ARMS = ["low", "high", "tuned", "updates"]
points = {}
for num_examples in DATA_SET_SIZES:
    for size in BATCH_SIZES:
        cell = num_examples, size
        values[f"updates_per_epoch.{num_examples}.{size}"] = {
            "value": updates_per_epoch[cell],
            "unit": "updates",
            "exact": True,
        }
        for arm in ARMS:
            budget = "updates" if arm == "updates" else "epochs"
            if arm in KEPT_RATES:
                rate = RATES[size].index(KEPT_RATES[arm])
            else:
                rate = tuned_rate(budget, *cell)
            points[arm, *cell] = 100 * accuracy[budget, "test", *cell][rate]
            put(
                f"accuracy.{arm}.{num_examples}.{size}",
                points[arm, *cell],
                "percent",
            )


def gap(arm, num_examples, size, reference=REFERENCE_BATCH_SIZE):
    """Points of a batch size above another, a number for each data set."""
    above = points[arm, num_examples, size]
    return above - points[arm, num_examples, reference]


for arm in ARMS:
    for num_examples in DATA_SET_SIZES:
        for size in BATCH_SIZES:
            if size != REFERENCE_BATCH_SIZE:
                put(
                    f"gap.{arm}.{num_examples}.{size}",
                    gap(arm, num_examples, size),
                )
        put(
            f"largest_over_smallest.{arm}.{num_examples}",
            gap(arm, num_examples, largest, smallest),
        )
    # How much more the larger batches gain, or less they lose, with all the
    # data than with the fewest.
    for size in (128, 512):
        put(
            f"gained_with_data.{arm}.{size}",
            gap(arm, LARGEST, size) - gap(arm, fewest, size),
        )

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def low(key):
    return values[key]["ci"][0]


def high(key):
    return values[key]["ci"][1]


def gaps(arm, *data_set_sizes):
    return [
        f"gap.{arm}.{num_examples}.{size}"
        for num_examples in data_set_sizes
        for size in BATCH_SIZES
        if size != REFERENCE_BATCH_SIZE
    ]


found = [f"largest_over_smallest.low.{n}" for n in DATA_SET_SIZES]
judge(
    "low.largest_is_behind_at_every_data_set_size",
    all(high(key) < 0 for key in found),
    *found,
)
found = [f"gap.low.{n}.{smallest}" for n in DATA_SET_SIZES]
judge(
    "low.smallest_is_nowhere_behind",
    all(low(key) > -MARGIN_POINTS for key in found),
    *found,
)
for arm in ARMS:
    found = f"gap.{arm}.{LARGEST}.{smallest}"
    judge(f"{arm}.smallest_is_behind_with_most_data", high(found) < 0, found)
    found = f"gap.{arm}.{LARGEST}.{largest}"
    judge(f"{arm}.largest_leads_with_most_data", low(found) > 0, found)
found = gaps("tuned", *DATA_SET_SIZES)
judge(
    "tuned.no_size_is_ahead",
    all(high(key) < MARGIN_POINTS for key in found),
    *found,
)
found = f"gap.tuned.{fewest}.{largest}"
judge("tuned.largest_is_behind_with_fewest_data", high(found) < 0, found)
found = f"gained_with_data.tuned.{largest}"
judge("tuned.largest_catches_up_with_data", low(found) > 0, found)
found = gaps("updates", fewest)
judge(
    "updates.no_size_is_ahead_with_fewest_data",
    all(high(key) < MARGIN_POINTS for key in found),
    *found,
)
for arm in ("high", "updates"):
    found = f"gained_with_data.{arm}.{largest}"
    judge(f"{arm}.largest_gains_with_data", low(found) > 0, found)
for num_examples in (fewest, LARGEST):
    found = [f"rate.epochs.{num_examples}.{s}" for s in (smallest, largest)]
    judge(
        f"larger_batch_wants_larger_rate.{num_examples}",
        high(found[0]) < low(found[1]),
        *found,
    )
found = [key for key in values if key.startswith("rate.")]
judge(
    "no_tuned_rate_is_on_the_edge",
    all(
        RATES[int(key.split(".")[-1])][0]
        < values[key]["value"]
        < RATES[int(key.split(".")[-1])][-1]
        for key in found
    ),
    *found,
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Test accuracy against the size of the data set

# %%
figure, axes = plt.subplots(
    1, len(ARMS), figsize=(12, 3.5), layout="constrained", sharey=True
)
for axis, arm in zip(axes, ARMS):
    for size in BATCH_SIZES:
        means = [
            values[f"accuracy.{arm}.{n}.{size}"]["value"]
            for n in DATA_SET_SIZES
        ]
        axis.semilogx(DATA_SET_SIZES, means, "o-", label=f"batch_size={size}")
    axis.set(title=arm, xlabel="Examples to train on")
axes[0].set_ylabel("Test accuracy in percent")
axes[0].legend()
plt.show()

# %% [markdown]
# ## Results

# %%
series = {}


def line(keys, unit):
    rows = [(values[key]["value"], *values[key]["ci"]) for key in keys]
    mean, bottom, top = (list(column) for column in zip(*rows))
    x = list(DATA_SET_SIZES)
    return {"x": x, "y": mean, "low": bottom, "high": top, "unit": unit}


for arm in ARMS:
    for size in BATCH_SIZES:
        keys = [f"accuracy.{arm}.{n}.{size}" for n in DATA_SET_SIZES]
        series[f"accuracy.{arm}.{size}"] = line(keys, "percent")
        if size != REFERENCE_BATCH_SIZE:
            keys = [f"gap.{arm}.{n}.{size}" for n in DATA_SET_SIZES]
            series[f"gap.{arm}.{size}"] = line(keys, "percentage points")

results = {"values": values, "judgements": judgements, "series": series}
