# %% [markdown]
# # Three batch sizes on tabular data (Keras)
#
# Repeats a lesson's comparison of three batch sizes on many data sets, then
# compares them fairly: with tuned rates, and with as many updates.
#
# - Install: `pip install keras tensorflow scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `5` minutes
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
from sklearn.datasets import make_classification

from snippets.mean_interval import mean_interval
from snippets.train_replicas_keras import train_replicas_keras

# %% [markdown]
# ## Settings
#
# The easy data are `make_classification` with its defaults. `SHORT = True`
# gives a run of seconds, to see it work; its numbers mean nothing.

# %%
SHORT = False

BATCH_SIZES = [32, 256, 1024]
NUM_TRAIN = 1600
NUM_VALIDATION = 400
NUM_TEST = 20000
NUM_FEATURES = 10
DATA = {
    "easy": {},
    "hard": {"n_informative": 6, "n_clusters_per_class": 4, "flip_y": 0.05},
}
HIDDEN_UNITS = [64, 32]
NUM_EPOCHS = 3 if SHORT else 50
LEARNING_RATE = 0.001
# From a quarter of the published rate, each twice the one before.
LEARNING_RATES = [LEARNING_RATE * 2.0**k for k in range(-2, 2 if SHORT else 8)]
# "No difference" is less than this, in percentage points of test accuracy.
# Set beforehand.
MARGIN_POINTS = 1.0
# One data set, one set of initial weights and one order for each.
NUM_DATA_SETS = 3 if SHORT else 40
FIRST_SEED = 2000
TIMED_EPOCHS = 1 if SHORT else 2
TIMED_REPEATS = 2 if SHORT else 12

# %% [markdown]
# ## Data and network

# %%


def draw_data(kind):
    """Inputs and labels, a data set for each replicate."""
    total = NUM_TRAIN + NUM_VALIDATION + NUM_TEST
    drawn = [
        make_classification(
            total,
            n_features=NUM_FEATURES,
            random_state=FIRST_SEED + number,
            **DATA[kind],
        )
        for number in range(NUM_DATA_SETS)
    ]
    x = np.stack([inputs for inputs, _ in drawn]).astype("float32")
    y = np.stack([labels for _, labels in drawn]).astype("int32")
    ends = np.cumsum([NUM_TRAIN, NUM_VALIDATION])
    return list(zip(np.split(x, ends, axis=1), np.split(y, ends, axis=1)))


def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(HIDDEN_UNITS[0], activation="relu"),
            keras.layers.Dense(HIDDEN_UNITS[1], activation="relu"),
            # The loss takes logits; a sigmoid here would change nothing else.
            keras.layers.Dense(1),
        ]
    )


data = {kind: draw_data(kind) for kind in DATA}

# %% [markdown]
# ## Count and time the epochs of a plain `fit`
#
# The first epoch builds and traces; it is not timed. Sizes take turns, so
# that a slow moment of the machine falls on all of them.

# %%
x_one, y_one = (part[0] for part in data["easy"][0])
timed_models = {}
updates_per_epoch = {}
for batch_size in BATCH_SIZES:
    model = build_model(FIRST_SEED)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x_one, y_one, batch_size=batch_size, epochs=1, verbose=0)
    updates_per_epoch[batch_size] = int(model.optimizer.iterations)
    timed_models[batch_size] = model
print("updates per epoch:", updates_per_epoch)


def time_epochs(batch_size):
    start = time.perf_counter()
    timed_models[batch_size].fit(
        x_one, y_one, batch_size=batch_size, epochs=TIMED_EPOCHS, verbose=0
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
# The validation loss is looked at as often in every run, and each model
# keeps the weights of its lowest one. Test data are used once, at the end.

# %%
smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
MATCHED_UPDATES = updates_per_epoch[smallest] * NUM_EPOCHS


def predict_class(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs))[:, 0] > 0


def train(kind, batch_size, learning_rate, num_updates):
    """Validation losses [look, data set] and test accuracy [data set]."""
    (x_train, y_train), (x_check, y_check), (x_test, y_test) = data[kind]
    models = [build_model(FIRST_SEED + n) for n in range(NUM_DATA_SETS)]
    checkpoints = np.linspace(0, num_updates, NUM_EPOCHS + 1)[1:].round()
    history = train_replicas_keras(
        models,
        x_train,
        y_train,
        batch_size,
        learning_rate,
        checkpoints.astype(int).tolist(),
        x_check,
        y_check,
        seed=FIRST_SEED,
    )
    accuracy = [
        np.mean(predict_class(model, inputs) == np.asarray(labels))
        for model, inputs, labels in zip(models, x_test, y_test)
    ]
    return history["loss"], np.array(accuracy)


by_rate = {}
matched = {}
for kind in DATA:
    for batch_size in BATCH_SIZES:
        equal_epochs = updates_per_epoch[batch_size] * NUM_EPOCHS
        for rate in LEARNING_RATES:
            by_rate[kind, batch_size, rate] = train(
                kind, batch_size, rate, equal_epochs
            )
        matched[kind, batch_size] = train(
            kind, batch_size, LEARNING_RATE, MATCHED_UPDATES
        )
    print("trained on the data:", kind)

# %% [markdown]
# ## Choose the rate
#
# The rate with the lowest validation loss, on average over the data sets;
# its interval says which rates other draws of the data sets would choose.

# %%
random = np.random.default_rng(FIRST_SEED)
draws = random.integers(NUM_DATA_SETS, size=(2000, NUM_DATA_SETS))
chosen_rate, rate_interval, loss_by_rate = {}, {}, {}
for kind in DATA:
    for batch_size in BATCH_SIZES:
        losses = np.array(
            [
                by_rate[kind, batch_size, rate][0].min(axis=0)
                for rate in LEARNING_RATES
            ]
        )
        loss_by_rate[kind, batch_size] = losses
        best = losses.mean(axis=1).argmin()
        chosen_rate[kind, batch_size] = LEARNING_RATES[best]
        redrawn = losses[:, draws].mean(axis=2).argmin(axis=0)
        ends = np.quantile(redrawn, [0.025, 0.975]).round().astype(int)
        ends = min(ends[0], best), max(ends[1], best)
        rate_interval[kind, batch_size] = [LEARNING_RATES[end] for end in ends]
        print(kind, batch_size, "rate", LEARNING_RATES[best])

# %% [markdown]
# ## Measure
#
# Differences are paired by data set.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def run_of(arm, kind, batch_size):
    if arm == "matched":
        return matched[kind, batch_size]
    rate = LEARNING_RATE
    if arm == "tuned":
        rate = chosen_rate[kind, batch_size]
    return by_rate[kind, batch_size, rate]


ARMS = ["published", "tuned", "matched"]
for batch_size in BATCH_SIZES:
    values[f"updates_per_epoch.{batch_size}"] = {
        "value": updates_per_epoch[batch_size],
        "unit": "updates",
        "exact": True,
    }
    if batch_size != smallest:
        put(
            f"epoch_speedup.{batch_size}",
            epoch_seconds[smallest] / epoch_seconds[batch_size],
            "ratio",
            ratio=True,
            timing=True,
        )
    for kind in DATA:
        values[f"chosen_rate.{kind}.{batch_size}"] = {
            "value": chosen_rate[kind, batch_size],
            "ci": rate_interval[kind, batch_size],
            "n": NUM_DATA_SETS,
            "unit": "learning rate",
        } | FEW
        for arm in ARMS:
            loss, accuracy = run_of(arm, kind, batch_size)
            loss_small, accuracy_small = run_of(arm, kind, smallest)
            name = f"{arm}.{kind}.{batch_size}"
            put(f"validation_loss.{name}", loss.min(axis=0), "nats")
            put(f"test_accuracy.{name}", accuracy, "share")
            if batch_size == smallest:
                continue
            put(
                f"loss_above_smallest.{name}",
                loss.min(axis=0) - loss_small.min(axis=0),
                "nats",
            )
            put(
                f"points_below_smallest.{name}",
                100 * (accuracy_small - accuracy),
                "percentage points",
            )


def rise_of(kind, batch_size):
    """How far the validation loss ends above its lowest, equal updates."""
    loss, _ = matched[kind, batch_size]
    return loss[-1] - loss.min(axis=0)


for kind in DATA:
    put(
        f"rise_above_smallest.{kind}",
        rise_of(kind, largest) - rise_of(kind, smallest),
        "nats",
    )
    # How much of the largest size's deficit its own rate makes good.
    put(
        f"points_won_by_tuning.{kind}",
        100
        * (
            (
                run_of("published", kind, smallest)[1]
                - run_of("published", kind, largest)[1]
            )
            - (
                run_of("tuned", kind, smallest)[1]
                - run_of("tuned", kind, largest)[1]
            )
        ),
        "percentage points",
    )
    # What a lesson that runs each size once would see.
    wins = np.stack(
        [
            run_of("published", kind, smallest)[0].min(axis=0)
            < run_of("published", kind, size)[0].min(axis=0)
            for size in BATCH_SIZES[1:]
        ]
    ).all(axis=0)
    # Wilson's interval for a share.
    n, share, z = len(wins), wins.mean(), 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    half /= 1 + z**2 / n
    values[f"single_runs_with_smallest_best.{kind}"] = {
        "value": share,
        "ci": [min(middle - half, share), max(middle + half, share)],
        "n": n,
        "unit": "share of data sets",
    } | FEW

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


for kind in DATA:
    larger = BATCH_SIZES[1:]
    losses = [f"loss_above_smallest.published.{kind}.{size}" for size in larger]
    judge(
        f"published.smallest_has_lowest_loss.{kind}",
        all(low(key) > 0 for key in losses),
        *losses,
    )
    largest_gap = f"points_below_smallest.published.{kind}.{largest}"
    judge(
        f"published.largest_is_worse.{kind}", low(largest_gap) > 0, largest_gap
    )
    rates = [f"chosen_rate.{kind}.{size}" for size in BATCH_SIZES]
    judge(
        f"best_rates_lie_inside_the_grid.{kind}",
        all(
            LEARNING_RATES[0] < values[key]["value"] < LEARNING_RATES[-1]
            for key in rates
        ),
        *rates,
    )
    judge(
        f"larger_batch_wants_larger_rate.{kind}",
        low(rates[-1]) > high(rates[0]),
        *rates,
    )
# After tuning, the interval of the easy data touches the margin: the text
# gives it as an interval, and no judgement is made of it here.
judge(
    "tuning_narrows_the_gap.hard",
    low("points_won_by_tuning.hard") > 0,
    "points_won_by_tuning.hard",
)
for arm, kind in (("tuned", "hard"), ("matched", "easy"), ("matched", "hard")):
    gaps = [
        f"points_below_smallest.{arm}.{kind}.{size}" for size in BATCH_SIZES[1:]
    ]
    judge(
        f"{arm}.no_difference.{kind}",
        all(-MARGIN_POINTS < low(g) and high(g) < MARGIN_POINTS for g in gaps),
        *gaps,
    )
for kind in DATA:
    judge(
        f"matched.largest_overfits_most.{kind}",
        low(f"rise_above_smallest.{kind}") > 0,
        f"rise_above_smallest.{kind}",
    )
judge(
    "epoch_is_faster_at_the_largest",
    low(f"epoch_speedup.{largest}") > 1,
    f"epoch_speedup.{largest}",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Validation loss against the rate
#
# The lowest point of each line is the rate that was chosen.

# %%
figure, axes = plt.subplots(
    1, len(DATA), figsize=(9, 4), layout="constrained", squeeze=False
)
for axis, kind in zip(axes.flat, DATA):
    for batch_size in BATCH_SIZES:
        axis.plot(
            LEARNING_RATES,
            loss_by_rate[kind, batch_size].mean(axis=1),
            marker="o",
            label=f"batch_size={batch_size}",
        )
    axis.set(title=kind, xscale="log", xlabel="learning rate")
    axis.set_ylabel("lowest validation loss")
    axis.legend()
plt.show()

# %% [markdown]
# ## Results

# %%
series = {}


def line(x, rows, unit):
    means = [mean_interval(row) for row in rows]
    mean, bottom, top = (list(column) for column in zip(*means))
    return {"x": list(x), "y": mean, "low": bottom, "high": top, "unit": unit}


for kind in DATA:
    for batch_size in BATCH_SIZES:
        name = f"{kind}.{batch_size}"
        losses = loss_by_rate[kind, batch_size]
        series[f"loss_by_rate.{name}"] = line(LEARNING_RATES, losses, "nats")
        # Equal epochs at the published rate, then as many updates for all.
        per_epoch = updates_per_epoch[batch_size]
        fixed, _ = run_of("published", kind, batch_size)
        epochs = np.arange(1, NUM_EPOCHS + 1)
        series[f"loss_by_epoch.{name}"] = line(epochs.tolist(), fixed, "nats")
        more, _ = matched[kind, batch_size]
        updates = np.linspace(0, MATCHED_UPDATES, NUM_EPOCHS + 1)[1:].round()
        series[f"loss_by_update.{name}"] = line(updates.tolist(), more, "nats")
        seconds = updates / per_epoch * epoch_seconds[batch_size].mean()
        series[f"loss_by_second.{name}"] = line(seconds.tolist(), more, "nats")
    for arm in ARMS:
        keys = [
            f"points_below_smallest.{arm}.{kind}.{size}"
            for size in BATCH_SIZES[1:]
        ]
        series[f"points_below_smallest.{arm}.{kind}"] = {
            "x": BATCH_SIZES,
            "y": [0, *(values[key]["value"] for key in keys)],
            "low": [0, *(low(key) for key in keys)],
            "high": [0, *(high(key) for key in keys)],
            "unit": "percentage points",
        }

results = {"values": values, "judgements": judgements, "series": series}
