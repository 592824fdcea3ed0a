# %% [markdown]
# # Growing the batch instead of lowering the rate (PyTorch)
#
# Trains a small network with a learning rate that falls in steps, with a batch
# that grows by the same factors, with both and with neither.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from mnist1d.data import get_dataset_args, make_dataset
from torch import nn

from snippets.grow_batch_size import grow_batch_size
from snippets.mean_interval import mean_interval
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

# Where training starts; the batch grows from there.
START_BATCH_SIZES = [16, 64, 256]
FACTOR = 4
NUM_EPOCHS = 4 if SHORT else 16
# Epochs after which the rate falls or the batch grows.
MILESTONES = [2, 3] if SHORT else [8, 12]
# Examples: training, validation, test.
SPLIT = [4096, 1000, 2000]
NUM_FEATURES = 40
HIDDEN_UNITS = 32
NUM_CLASSES = 10
MOMENTUM = 0.9
# Learning rates to begin with: factors of two about a middle, which belongs
# to the smallest start and grows with the power of the start.
RATE_STEPS = [-2, -1, 0, 1, 2]
MIDDLE_RATES = {"momentum": 0.015, "adam": 0.006}
RATE_POWERS = {"momentum": 1.0, "adam": 0.5}
NUM_SEEDS = 3 if SHORT else 20
# Of the weights, the data and the order of the examples.
FIRST_SEED = 300
# "The same" is less than this, in percentage points of test accuracy. Set
# beforehand.
MARGIN_POINTS = 1.0
# A diverged run counts as this loss.
LARGEST_LOSS = 4.6
TIMED_SECONDS = 0.05 if SHORT else 0.15
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data and network

# %%
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]


def draw(seed):
    """Inputs and labels of a new MNIST-1D."""
    arguments = get_dataset_args()
    arguments.seed = seed
    arguments.num_samples = sum(SPLIT) // 10 * 10 + 10
    made = make_dataset(arguments)
    return [
        np.concatenate([made[key], made[f"{key}_test"]])[: sum(SPLIT)]
        for key in "xy"
    ]


# Inputs [seeds, examples, features] and labels [seeds, examples].
x, y = map(np.stack, zip(*map(draw, SEEDS)))
x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
parts = list(zip(x.split(SPLIT, dim=1), y.split(SPLIT, dim=1)))


def for_each_rate(num_rates):
    """All data sets once for each rate, in the order of the models."""
    return [[torch.cat([part] * num_rates) for part in pair] for pair in parts]


def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def models_for(num_rates):
    """Every seed's model, for each of the rates."""
    return [build_model(seed) for _ in range(num_rates) for seed in SEEDS]


# %% [markdown]
# ## Time the updates
#
# The plain loop, as a reader would write it, in seconds of the processor.
# Sizes take turns, so that a slow moment of the machine falls on all of them.


# %%
plain_data = [part[0] for part in parts[0]]


class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=MOMENTUM
        )

    def update(self):
        batch = torch.randint(len(plain_data[1]), (self.batch_size,))
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(
            self.model(plain_data[0][batch]), plain_data[1][batch]
        )
        loss.backward()
        self.optimizer.step()


def update_seconds_of(plain):
    """Mean seconds of an update, over TIMED_SECONDS."""
    start, updates = time.process_time(), 0
    while time.process_time() - start < TIMED_SECONDS:
        plain.update()
        updates += 1
    return (time.process_time() - start) / updates


TIMED_SIZES = [16, 64, 256, 1024, 4096]
plain = {size: PlainTraining(size) for size in TIMED_SIZES}
for size in TIMED_SIZES:
    plain[size].update()
update_seconds = {size: [] for size in TIMED_SIZES}
for _ in range(TIMED_REPEATS):
    for size in TIMED_SIZES:
        update_seconds[size].append(update_seconds_of(plain[size]))
update_seconds = {size: np.array(t) for size, t in update_seconds.items()}

# %% [markdown]
# ## Train
#
# Four ways from the smallest start, and a fifth in which the batch grows by
# the square of the factor; from the larger starts, only the two to compare.
# The rate is chosen once for each start, where it falls; then every way begins
# at it. All seeds and rates are trained at once.

# %%
WAYS = {
    "neither": (1, 1),
    "decay": (1, FACTOR),
    "grow": (FACTOR, 1),
    "both": (FACTOR, FACTOR),
    "grow_square": (FACTOR**2, 1),
}
OPTIMIZERS = {
    "momentum": {"optimizer": "sgd", "momentum": MOMENTUM},
    "adam": {"optimizer": "adam"},
}


def stages_for(way, start):
    """[(first epoch, batch size, factor of the rate)] of a way to train."""
    batch_factor, rate_factor = WAYS[way]
    if batch_factor == 1:
        sizes = [start] * (len(MILESTONES) + 1)
    else:
        grown = grow_batch_size(start, MILESTONES, batch_factor, SPLIT[0])
        sizes = [size for _, size, _ in grown]
    return [
        (epoch, size, float(rate_factor) ** -number)
        for number, (epoch, size) in enumerate(zip([0, *MILESTONES], sizes))
    ]


def epochs_of(stages):
    """[(batch size, factor of the rate)], one for each epoch."""
    ends = [epoch for epoch, _, _ in stages[1:]] + [NUM_EPOCHS]
    return [
        (size, factor)
        for (first, size, factor), end in zip(stages, ends)
        for _ in range(first, end)
    ]


def updates_in(batch_size):
    return -(-SPLIT[0] // batch_size)


def rates_for(optimizer, start):
    scale = (start / START_BATCH_SIZES[0]) ** RATE_POWERS[optimizer]
    return MIDDLE_RATES[optimizer] * scale * 2.0 ** np.array(RATE_STEPS)


def capped(loss):
    return np.nan_to_num(loss, nan=LARGEST_LOSS).clip(max=LARGEST_LOSS)


def train(optimizer, start, way, rates, seed):
    """{(data, "loss" or "accuracy"): numbers [epochs, rates, seeds]}."""
    epochs = epochs_of(stages_for(way, start))
    checkpoints = np.cumsum([updates_in(size) for size, _ in epochs])
    training, validation, test = for_each_rate(len(rates))
    history = train_rates_torch(
        models_for(len(rates)),
        np.repeat(rates, NUM_SEEDS).tolist(),
        *training,
        [(updates_in(size), size, factor) for size, factor in epochs],
        checkpoints.tolist(),
        {"validation": validation, "test": test},
        seed,
        **OPTIMIZERS[optimizer],
    )
    return {
        (part, key): rows.reshape(len(epochs), len(rates), NUM_SEEDS)
        for part, found in history.items()
        for key, rows in found.items()
    }


best, runs = {}, {}
for optimizer in OPTIMIZERS:
    for start in START_BATCH_SIZES:
        rates = rates_for(optimizer, start)
        seed = FIRST_SEED + 2 * start
        found = train(optimizer, start, "decay", rates, seed)
        loss = capped(found["validation", "loss"][-1])
        best[optimizer, start] = int(loss.mean(axis=1).argmin())
        rate = rates[[best[optimizer, start]]]
        smallest = start == START_BATCH_SIZES[0]
        # The same order of examples for each way, and not the one that chose.
        for way in WAYS if smallest else ["decay", "grow"]:
            found = train(optimizer, start, way, rate, seed + 1)
            runs[optimizer, start, way] = {
                key: each[:, 0] for key, each in found.items()
            }
        print("trained:", optimizer, "from", start)

# %% [markdown]
# ## Measure
#
# All ways from one start share the rate at which the falling rate has its
# lowest validation loss at the end; accuracy is that on the test data, at the
# end. Differences pair the runs that began from the same weights and saw the
# examples in the same order.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def low(key):
    return values[key]["ci"][0]


def high(key):
    return values[key]["ci"][1]


def exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


for size in TIMED_SIZES:
    exact(f"updates_per_epoch.{size}", updates_in(size), "updates")
updates_of, seconds_of = {}, {}
for _, start, way in runs:
    sizes = [size for size, _ in epochs_of(stages_for(way, start))]
    updates_of[start, way] = sum(updates_in(size) for size in sizes)
    seconds_of[start, way] = sum(
        updates_in(size) * update_seconds[size] for size in sizes
    )
for start, way in updates_of:
    exact(f"updates.{way}.{start}", updates_of[start, way], "updates")
    if way != "decay":
        exact(
            f"updates_saved.{way}.{start}",
            updates_of[start, "decay"] / updates_of[start, way],
            "ratio",
        )
        put(
            f"seconds.{way}.{start}",
            seconds_of[start, way] / seconds_of[start, "decay"],
            "ratio",
            ratio=True,
            timing=True,
        )
for optimizer, start, way in runs:
    found = runs[optimizer, start, way]["test", "accuracy"][-1]
    key = f"{optimizer}.{way}.{start}"
    put(f"accuracy.{key}", found, "share")
    if way == "decay":
        continue
    decay = runs[optimizer, start, "decay"]["test", "accuracy"][-1]
    put(f"gap.{key}", 100 * (found - decay), "percentage points")
    loss = [
        capped(runs[optimizer, start, each]["validation", "loss"][-1])
        for each in (way, "decay")
    ]
    put(f"loss_gap.{key}", loss[0] - loss[1], "nats")

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def within(key, margin):
    return -margin < low(key) and high(key) < margin


smallest, largest = START_BATCH_SIZES[0], START_BATCH_SIZES[-1]
judge(
    "no_rate_is_on_the_edge",
    all(0 < index < len(RATE_STEPS) - 1 for index in best.values()),
    *(f"accuracy.{optimizer}.decay.{start}" for optimizer, start, way in runs
      if way == "decay"),
)  # fmt: skip
for optimizer in OPTIMIZERS:
    judge(
        f"growing_equals_decaying.{optimizer}",
        within(f"gap.{optimizer}.grow.{smallest}", MARGIN_POINTS),
        f"gap.{optimizer}.grow.{smallest}",
    )
    judge(
        f"either_lowers_the_loss.{optimizer}",
        low(f"loss_gap.{optimizer}.neither.{smallest}") > 0,
        f"loss_gap.{optimizer}.neither.{smallest}",
    )
judge(
    "both_lower_the_loss_more.adam",
    high(f"loss_gap.adam.both.{smallest}") < 0,
    f"loss_gap.adam.both.{smallest}",
)
judge(
    "large_starts_fall_behind.momentum",
    low(f"loss_gap.momentum.grow.{largest}") > 0
    and high(f"gap.momentum.grow.{largest}") < 0,
    f"loss_gap.momentum.grow.{largest}",
    f"gap.momentum.grow.{largest}",
)
judge(
    "large_starts_stay_level.adam",
    within(f"gap.adam.grow.{largest}", MARGIN_POINTS),
    f"gap.adam.grow.{largest}",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Validation loss on the way

# %%
figure, axes = plt.subplots(
    1, len(OPTIMIZERS), figsize=(9, 3.5), layout="constrained"
)
for axis, optimizer in zip(axes, OPTIMIZERS):
    for way in WAYS:
        loss = runs[optimizer, smallest, way]["validation", "loss"]
        loss = capped(loss).mean(axis=1)
        axis.plot(range(1, NUM_EPOCHS + 1), loss, label=way)
    axis.set(title=optimizer, xlabel="Epochs", ylabel="Validation loss")
axes[0].legend()
plt.show()

# %% [markdown]
# ## Results


# %%
def band(samples, x, unit):
    """Mean and interval over the last axis, as a series."""
    intervals = np.array([mean_interval(each) for each in samples]).T
    return {"x": x, "unit": unit} | {
        key: row.tolist() for key, row in zip(("y", "low", "high"), intervals)
    }


series = {}
for optimizer in OPTIMIZERS:
    for way in WAYS:
        sizes = [size for size, _ in epochs_of(stages_for(way, smallest))]
        axes_of = {
            "epoch": np.arange(1, NUM_EPOCHS + 1),
            "update": np.cumsum([updates_in(size) for size in sizes]),
            "second": np.cumsum(
                [
                    updates_in(size) * update_seconds[size].mean()
                    for size in sizes
                ]
            ),
        }
        loss = runs[optimizer, smallest, way]["validation", "loss"]
        for budget, x_of in axes_of.items():
            series[f"loss.{budget}.{optimizer}.{way}"] = band(
                capped(loss), x_of.tolist(), "nats"
            )
    entries = [
        values[f"gap.{optimizer}.grow.{start}"] for start in START_BATCH_SIZES
    ]
    series[f"gap.{optimizer}"] = {
        "x": START_BATCH_SIZES,
        "y": [entry["value"] for entry in entries],
        "low": [entry["ci"][0] for entry in entries],
        "high": [entry["ci"][1] for entry in entries],
        "unit": "percentage points",
    }

results = {"values": values, "judgements": judgements, "series": series}
