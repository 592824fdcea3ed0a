# %% [markdown]
# # Blobs: eight batch sizes, many seeds (Keras)
#
# Trains the small network of a popular tutorial at eight batch sizes and
# asks which of its conclusions survive more than one run.
#
# - Install: `pip install keras tensorflow scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `3` minutes
# - Timing: `alone`

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import time

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

from snippets.mean_interval import mean_interval
from snippets.train_replicas_keras import train_replicas_keras

# %% [markdown]
# ## Settings
#
# The data, the network and the optimizer are the tutorial's. `SHORT = True`
# gives a run of seconds, to see it work; its numbers mean nothing.

# %%
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
NUM_EPOCHS = 8 if SHORT else 100
# What REFERENCE_BATCH_SIZE makes in NUM_EPOCHS.
MATCHED_UPDATES = 16 * NUM_EPOCHS
# Share of the test examples; for the time to reach it.
TARGET_ACCURACY = 0.8
# "Settled" is closer to the last value than this, in percentage points.
SETTLED_POINTS = 1.0
# The epoch after which the tutorial sees its smallest sizes settled.
CLAIMED_SETTLED_EPOCH = 30
# "No difference" is less than this, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0
# "The same number of epochs" is less than this factor. Set beforehand.
MARGIN_FACTOR = 1.5
NUM_SEEDS = 3 if SHORT else 64
FIRST_SEED = 1000
TIMED_EPOCHS = 1 if SHORT else 3
TIMED_REPEATS = 2 if SHORT else 12

# %% [markdown]
# ## Data and network

# %%
x, y = make_blobs(
    NUM_EXAMPLES,
    centers=NUM_CENTERS,
    n_features=NUM_FEATURES,
    cluster_std=CLUSTER_STD,
    random_state=DATA_SEED,
)
x, y = x.astype("float32"), y.astype("int32")
x_train, y_train = x[:NUM_TRAIN], y[:NUM_TRAIN]
x_test, y_test = x[NUM_TRAIN:], y[NUM_TRAIN:]


def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(
                HIDDEN_UNITS, activation="relu", kernel_initializer="he_uniform"
            ),
            # The loss takes logits; a softmax here would change nothing else.
            keras.layers.Dense(NUM_CENTERS),
        ]
    )


def build_models():
    return [build_model(FIRST_SEED + number) for number in range(NUM_SEEDS)]


# %% [markdown]
# ## Count the updates of one epoch
#
# Counted by the optimizer during `fit`, not calculated.


# %%
def compiled_model(seed):
    model = build_model(seed)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


timed_models = {}
updates_per_epoch = {}
for batch_size in BATCH_SIZES:
    model = compiled_model(FIRST_SEED)
    model.fit(x_train, y_train, batch_size=batch_size, epochs=1, verbose=0)
    updates_per_epoch[batch_size] = int(model.optimizer.iterations)
    timed_models[batch_size] = model
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Time an epoch
#
# Plain `fit`, as a reader would write it. The first epoch, which builds and
# traces, was spent above. Sizes take turns, so that a slow moment of the
# machine falls on all of them.


# %%
def time_epochs(batch_size):
    start = time.perf_counter()
    timed_models[batch_size].fit(
        x_train, y_train, batch_size=batch_size, epochs=TIMED_EPOCHS, verbose=0
    )
    return (time.perf_counter() - start) / TIMED_EPOCHS


for batch_size in BATCH_SIZES:
    time_epochs(batch_size)
epoch_seconds = {batch_size: [] for batch_size in BATCH_SIZES}
for _ in range(TIMED_REPEATS):
    for batch_size in BATCH_SIZES:
        epoch_seconds[batch_size].append(time_epochs(batch_size))
epoch_seconds = {size: np.array(t) for size, t in epoch_seconds.items()}

# %% [markdown]
# ## Train
#
# Every size runs for `NUM_EPOCHS` epochs and for `MATCHED_UPDATES` updates,
# whichever is longer: at one rate for all sizes, and with the rate scaled
# from the reference size by the root of the batch size or in proportion.

# %%
LEARNING_RATE_RULES = {"fixed": 0.0, "root": 0.5, "linear": 1.0}


def checkpoints_for(per_epoch, last):
    """Update counts to look at: often at first, then once an epoch."""
    often = max(1, per_epoch // 8)
    found = set(range(often, 12 * per_epoch + 1, often))
    found |= set(range(per_epoch, NUM_EPOCHS * per_epoch + 1, per_epoch))
    found |= set(range(4, last + 1, max(4, per_epoch)))
    found |= {MATCHED_UPDATES, last}
    return sorted(update for update in found if update <= last)


runs = {}
for rule, exponent in LEARNING_RATE_RULES.items():
    for batch_size in BATCH_SIZES:
        per_epoch = updates_per_epoch[batch_size]
        last = NUM_EPOCHS * per_epoch
        if rule == "fixed":
            last = max(last, MATCHED_UPDATES)
        checkpoints = checkpoints_for(per_epoch, last)
        history = train_replicas_keras(
            build_models(),
            x_train,
            y_train,
            batch_size,
            LEARNING_RATE * (batch_size / REFERENCE_BATCH_SIZE) ** exponent,
            checkpoints,
            x_test,
            y_test,
            seed=FIRST_SEED + batch_size,
        )
        runs[rule, batch_size] = np.array(checkpoints), history["accuracy"]
    print("trained with the rate:", rule)

# %% [markdown]
# ## Measure
#
# Numbers of runs that did not all reach the target are left out, with the
# reason. A ratio pairs the runs that began from the same weights.

# %%
FEW = {"because": "short run"} if SHORT else {}
NOT_REACHED = "not every run reached the target accuracy"
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    samples = np.asarray(samples, dtype=float)
    if np.isnan(samples).any():
        values[key] = {"value": None, "unit": unit, "reason": NOT_REACHED}
        return
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def accuracy_after(rule, batch_size, updates):
    checkpoints, accuracy = runs[rule, batch_size]
    return accuracy[np.searchsorted(checkpoints, updates)]


def updates_to_target(rule, batch_size):
    """First checkpoint at the target, per seed; nan where there is none."""
    checkpoints, accuracy = runs[rule, batch_size]
    reached = accuracy >= TARGET_ACCURACY
    first = checkpoints[reached.argmax(axis=0)].astype(float)
    return np.where(reached.any(axis=0), first, np.nan)


def settled_epoch(batch_size, horizon):
    """The first epoch after which accuracy stays near that at the horizon."""
    per_epoch = updates_per_epoch[batch_size]
    checkpoints, accuracy = runs["fixed", batch_size]
    epochs = np.arange(1, horizon + 1) * per_epoch
    accuracy = accuracy[np.searchsorted(checkpoints, epochs)]
    away = np.abs(accuracy - accuracy[-1]) > SETTLED_POINTS / 100
    last_away = horizon - away[::-1].argmax(axis=0)
    return np.where(away.any(axis=0), last_away + 1, 1)


smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
epochs_to = {}
for rule in LEARNING_RATE_RULES:
    for batch_size in BATCH_SIZES:
        per_epoch = updates_per_epoch[batch_size]
        updates = updates_to_target(rule, batch_size)
        epochs_to[rule, batch_size] = updates / per_epoch
        key = f"{rule}.{batch_size}"
        put(f"epochs_to_target.{key}", updates / per_epoch, "epochs")
        put(f"updates_to_target.{key}", updates, "updates")
        put(
            f"accuracy.{key}",
            accuracy_after(rule, batch_size, NUM_EPOCHS * per_epoch),
            "share",
        )

for batch_size in BATCH_SIZES:
    per_epoch = updates_per_epoch[batch_size]
    values[f"updates_per_epoch.{batch_size}"] = {
        "value": per_epoch,
        "unit": "updates",
        "exact": True,
    }
    put(
        f"matched_accuracy.{batch_size}",
        accuracy_after("fixed", batch_size, MATCHED_UPDATES),
        "share",
    )
    for horizon in (NUM_EPOCHS // 2, NUM_EPOCHS):
        name = "half" if horizon < NUM_EPOCHS else "whole"
        put(
            f"settled_epoch.{name}.{batch_size}",
            settled_epoch(batch_size, horizon),
            "epochs",
        )
    put(
        f"epoch_speedup.{batch_size}",
        epoch_seconds[smallest] / epoch_seconds[batch_size],
        "ratio",
        ratio=True,
        timing=True,
    )

# How much longer the target takes than with the reference size. Epochs vary
# with the seed and seconds with the machine: their intervals are multiplied
# end by end, which is wider than it need be.
for batch_size in BATCH_SIZES:
    if batch_size == REFERENCE_BATCH_SIZE:
        continue
    key = f"seconds_to_target.{batch_size}"
    epochs_ratio = (
        epochs_to["fixed", batch_size]
        / epochs_to["fixed", REFERENCE_BATCH_SIZE]
    )
    put(key, epochs_ratio, "ratio", ratio=True, timing=True)
    mean, bottom, top = mean_interval(
        epoch_seconds[batch_size] / epoch_seconds[REFERENCE_BATCH_SIZE],
        ratio=True,
    )
    if values[key]["value"] is not None:
        values[key]["value"] *= mean
        values[key]["ci"] = [
            values[key]["ci"][0] * bottom,
            values[key]["ci"][1] * top,
        ]
        values[key]["n"] = min(NUM_SEEDS, TIMED_REPEATS)

for rule in LEARNING_RATE_RULES:
    put(
        f"epochs_ratio.{rule}",
        epochs_to[rule, largest] / epochs_to[rule, smallest],
        "ratio",
        ratio=True,
    )
    put(
        f"epochs_ratio_above_sixteen.{rule}",
        epochs_to[rule, largest] / epochs_to[rule, 16],
        "ratio",
        ratio=True,
    )
put(
    "updates_ratio.fixed",
    updates_to_target("fixed", smallest) / updates_to_target("fixed", largest),
    "ratio",
    ratio=True,
)


def put_gap(key, rule, batch_size, updates_of):
    """Accuracy less that of the reference size, in percentage points."""
    reference = REFERENCE_BATCH_SIZE
    put(
        key,
        100
        * (
            accuracy_after(rule, batch_size, updates_of(batch_size))
            - accuracy_after(rule, reference, updates_of(reference))
        ),
        "percentage points",
    )


for batch_size in BATCH_SIZES:
    if batch_size == REFERENCE_BATCH_SIZE:
        continue
    for rule in LEARNING_RATE_RULES:
        put_gap(
            f"gap.{rule}.{batch_size}",
            rule,
            batch_size,
            lambda size: NUM_EPOCHS * updates_per_epoch[size],
        )
    put_gap(
        f"gap.matched.{batch_size}",
        "fixed",
        batch_size,
        lambda size: MATCHED_UPDATES,
    )
for batch_size in (4, 8, 64, 512):
    put(
        f"settled_later_by.{batch_size}",
        settled_epoch(batch_size, NUM_EPOCHS)
        - settled_epoch(batch_size, NUM_EPOCHS // 2),
        "epochs",
    )

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


judge(
    "one_update_at_the_largest",
    updates_per_epoch[largest] == 1,
    f"updates_per_epoch.{largest}",
)
judge(
    "small_needs_fewer_epochs",
    low("epochs_ratio.fixed") > 1,
    "epochs_ratio.fixed",
)
judge(
    "small_needs_more_updates",
    low("updates_ratio.fixed") > 1,
    "updates_ratio.fixed",
)
judge(
    "largest_takes_most_seconds",
    low(f"seconds_to_target.{largest}") > 1
    and low(f"seconds_to_target.{largest}")
    > high(f"seconds_to_target.{smallest}"),
    f"seconds_to_target.{largest}",
    f"seconds_to_target.{smallest}",
)
judge(
    "smallest_saves_a_fifth_of_the_seconds",
    high(f"seconds_to_target.{smallest}") < 0.8,
    f"seconds_to_target.{smallest}",
)
judge(
    "settling_follows_the_length",
    all(low(f"settled_later_by.{size}") > 0 for size in (4, 8, 64, 512)),
    *(f"settled_later_by.{size}" for size in (4, 8, 64, 512)),
)
small_settled = [
    f"settled_epoch.{length}.{size}"
    for length in ("half", "whole")
    for size in (4, 8)
]
judge(
    "small_settle_later_than_claimed",
    all(low(key) > CLAIMED_SETTLED_EPOCH for key in small_settled),
    *small_settled,
)
fixed_gaps = [
    f"gap.fixed.{size}" for size in BATCH_SIZES if size != REFERENCE_BATCH_SIZE
]
judge(
    "no_size_beats_the_reference_by_a_point",
    all(high(key) < MARGIN_POINTS for key in fixed_gaps),
    *fixed_gaps,
)
judge(
    "both_ends_are_behind_the_reference",
    high(f"gap.fixed.{smallest}") < 0 and high(f"gap.fixed.{largest}") < 0,
    f"gap.fixed.{smallest}",
    f"gap.fixed.{largest}",
)
judge(
    "largest_is_behind_after_equal_epochs",
    high(f"gap.fixed.{largest}") < -MARGIN_POINTS,
    f"gap.fixed.{largest}",
)
judge(
    "largest_is_level_after_equal_updates",
    within(f"gap.matched.{largest}", MARGIN_POINTS),
    f"gap.matched.{largest}",
)
judge(
    "smallest_is_behind_after_equal_updates",
    high(f"gap.matched.{smallest}") < 0,
    f"gap.matched.{smallest}",
)
judge(
    "largest_is_level_with_linear_rate",
    within(f"gap.linear.{largest}", MARGIN_POINTS),
    f"gap.linear.{largest}",
)
judge(
    "linear_rate_evens_out_epochs",
    high("epochs_ratio_above_sixteen.linear") < MARGIN_FACTOR
    and low("epochs_ratio_above_sixteen.linear") > 1 / MARGIN_FACTOR,
    "epochs_ratio_above_sixteen.linear",
)
judge(
    "root_rate_evens_out_epochs",
    high("epochs_ratio_above_sixteen.root") < MARGIN_FACTOR
    and low("epochs_ratio_above_sixteen.root") > 1 / MARGIN_FACTOR,
    "epochs_ratio_above_sixteen.root",
)
judge(
    "epoch_is_faster_at_the_largest",
    low(f"epoch_speedup.{largest}") > 1,
    f"epoch_speedup.{largest}",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## The tutorial's grid, with all runs
#
# Thin: the one run that a tutorial would show. Thick: the mean of all seeds.

# %%
figure, axes = plt.subplots(
    4, 2, figsize=(8, 10), sharex=True, sharey=True, layout="constrained"
)
for axis, batch_size in zip(axes.flat, BATCH_SIZES):
    checkpoints, accuracy = runs["fixed", batch_size]
    epochs = checkpoints / updates_per_epoch[batch_size]
    axis.plot(epochs, accuracy[:, 0], linewidth=0.7)
    axis.plot(epochs, accuracy.mean(axis=1), linewidth=2)
    axis.set(title=f"batch_size={batch_size}", xlim=(0, NUM_EPOCHS))
    axis.set(xlabel="epochs", ylabel="test accuracy")
plt.show()

# %% [markdown]
# ## Results

# %%
series = {}


def curve(accuracy):
    means = [mean_interval(row) for row in accuracy]
    mean, bottom, top = (list(column) for column in zip(*means))
    return {"y": mean, "low": bottom, "high": top, "unit": "share"}


def shown_until(checkpoints, last):
    """Which checkpoints to draw: about forty, evenly spaced."""
    wanted = np.linspace(0, min(last, checkpoints[-1]), 41)[1:]
    return np.unique(np.searchsorted(checkpoints, wanted))


# As long as the smallest size needs for its epochs.
last_second = NUM_EPOCHS * epoch_seconds[smallest].mean()
for rule in LEARNING_RATE_RULES:
    for batch_size in BATCH_SIZES:
        per_epoch = updates_per_epoch[batch_size]
        per_second = per_epoch / epoch_seconds[batch_size].mean()
        checkpoints, accuracy = runs[rule, batch_size]
        name = f"{rule}.{batch_size}"
        shown = shown_until(checkpoints, NUM_EPOCHS * per_epoch)
        epochs = (checkpoints[shown] / per_epoch).tolist()
        series[f"accuracy_by_epoch.{name}"] = {"x": epochs} | curve(
            accuracy[shown]
        )
        if rule != "fixed":
            continue
        series[f"one_run.{name}"] = {
            "x": epochs,
            "y": accuracy[shown, 0].tolist(),
            "unit": "share",
        }
        shown = shown_until(checkpoints, MATCHED_UPDATES)
        series[f"accuracy_by_update.{name}"] = {
            "x": checkpoints[shown].tolist()
        } | curve(accuracy[shown])
        shown = shown_until(checkpoints, last_second * per_second)
        series[f"accuracy_by_second.{name}"] = {
            "x": (checkpoints[shown] / per_second).tolist()
        } | curve(accuracy[shown])
for rule in LEARNING_RATE_RULES:
    entries = [
        values[f"epochs_to_target.{rule}.{size}"] for size in BATCH_SIZES
    ]
    series[f"epochs_to_target.{rule}"] = {
        "x": BATCH_SIZES,
        "y": [entry["value"] for entry in entries],
        "low": [entry.get("ci", [None])[0] for entry in entries],
        "high": [entry.get("ci", [None, None])[1] for entry in entries],
        "unit": "epochs",
    }

results = {"values": values, "judgements": judgements, "series": series}
