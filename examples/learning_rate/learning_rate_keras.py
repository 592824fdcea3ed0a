# %% [markdown]
# # Learning rate and batch size, mapped (Keras)
#
# Trains a small network at many learning rates and batch sizes, and asks how
# the best rate moves, and what each rule of thumb costs.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `3` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import itertools
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
from mnist1d.data import get_dataset_args, make_dataset
from sklearn.datasets import load_digits

from snippets.mean_interval import mean_interval
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

BATCH_SIZES = [4, 16, 64, 256, 1024]
# The rules start from the best rate of this size.
REFERENCE_BATCH_SIZE = 16
NUM_EPOCHS = 1 if SHORT else 10
HIDDEN_UNITS = 32
NUM_CLASSES = 10
# Examples: training, validation, test.
MNIST1D_SPLIT = [1024, 80, 80] if SHORT else [4096, 1000, 1000]
DIGITS_SPLIT = [1024, 380, 380]
# Learning rates: this many factors of two to either side of a middle, which
# moves with the root of the batch size so that the best lies inside.
RATE_STEPS = 4
MIDDLE_RATES = {
    "mnist1d": {"sgd": 0.0625, "momentum": 0.0125, "adam": 0.002},
    "digits": {"sgd": 0.25, "momentum": 0.05, "adam": 0.008},
}
# With few updates the best rates are higher, by so many factors of two.
FEW_UPDATES_STEPS = {"mnist1d": 1, "digits": 0}
MOMENTUM = 0.9
# A diverged run counts as this loss, that of a guess twice over.
LARGEST_LOSS = 4.6
NUM_SEEDS = 3 if SHORT else 10
# Of the weights, the data and the order of the examples.
FIRST_SEED = 100
# The three sizes whose curves articles show, and the one rate for all.
CURVE_BATCH_SIZES = [64, 256, 1024]
CURVE_RATE = 0.05
CURVE_EPOCHS = 2 if SHORT else 10
WARMUP_BATCH_SIZE = 1024
WARMUP_UPDATES = 16
# "Too high" is this many factors of two above the tuned rate.
TOO_HIGH_STEPS = 2
# "No worse than tuned" is less than this, in percentage points of test
# accuracy. Set beforehand.
MARGIN_POINTS = 2.0
# The other budgets: so many updates for every size, and the seconds that the
# first of the three sizes takes for them.
EQUAL_UPDATES = 20 if SHORT else 80
TIMED_REPEATS = 2 if SHORT else 10
# Updates in each timing, at the least: starting to train has a cost, too.
TIMED_UPDATES = 64

# %% [markdown]
# ## Data and network


# %%
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]


def draw(name, seed):
    """Inputs and labels: the digits in some order, or a new MNIST-1D."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(y))
        return x[order] / 16, y[order]
    arguments = get_dataset_args()
    arguments.seed = seed
    arguments.num_samples = 1200 if SHORT else 6100
    made = make_dataset(arguments)
    return [np.concatenate([made[key], made[f"{key}_test"]]) for key in "xy"]


def load(name):
    """(training, validation, test), each (x, y), a data set for each seed.

    x has the shape [seeds, examples, features], y [seeds, examples].
    """
    split = DIGITS_SPLIT if name == "digits" else MNIST1D_SPLIT
    ends = np.cumsum(split)
    x, y = map(np.stack, zip(*(draw(name, seed) for seed in SEEDS)))
    x = x[:, : ends[-1]].astype("float32")
    y = y[:, : ends[-1]].astype("int32")
    parts = (np.split(part, ends[:-1], axis=1) for part in (x, y))
    return list(zip(*parts))


def for_each_rate(parts, num_rates):
    """All data sets once for each rate, in the order of the models."""
    return [
        [np.concatenate([part] * num_rates) for part in pair] for pair in parts
    ]


data = {name: load(name) for name in MIDDLE_RATES}


def build_model(seed, num_features=40):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((num_features,)),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


OPTIMIZERS = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": MOMENTUM},
    "adam": {"optimizer": "adam"},
}


# Building a model takes longer than resetting its weights.
built = {
    name: [build_model(seed, parts[0][0].shape[-1]) for seed in SEEDS]
    for name, parts in data.items()
}
initial = {
    name: [model.get_weights() for model in models]
    for name, models in built.items()
}


def updates_in(name, batch_size, num_epochs):
    return num_epochs * -(-data[name][0][1].shape[-1] // batch_size)


def train(name, optimizer, rates, phases, checkpoints, seed):
    """History with the shape [checkpoints, rates, seeds]."""
    parts = for_each_rate(data[name], len(rates))
    training, validation, test = parts
    for model, weights in zip(built[name], initial[name]):
        model.set_weights(weights)
    history = train_rates_keras(
        [model for _ in rates for model in built[name]],
        np.repeat(rates, NUM_SEEDS).tolist(),
        *training,
        phases,
        checkpoints,
        {"validation": validation, "test": test},
        seed,
        **OPTIMIZERS[optimizer],
    )
    shape = len(checkpoints), len(rates), NUM_SEEDS
    return {
        (part, key): rows.reshape(shape)
        for part, found in history.items()
        for key, rows in found.items()
    }


# %% [markdown]
# ## Time an epoch
#
# Plain `fit`, as a reader would write it, in seconds of the processor. The
# first epoch, which builds and traces, is not counted. Sizes take turns, so
# that a slow moment of the machine falls on all of them.

# %%
plain_data = [part[0] for part in data["mnist1d"][0]]
plain, updates_per_epoch = {}, {}
for size in BATCH_SIZES:
    model = build_model(FIRST_SEED)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(*plain_data, batch_size=size, epochs=1, verbose=0)
    updates_per_epoch[size] = int(model.optimizer.iterations)
    plain[size] = model
update_seconds = {size: [] for size in BATCH_SIZES}
for _ in range(TIMED_REPEATS):
    for size in BATCH_SIZES:
        num_epochs = -(-TIMED_UPDATES // updates_per_epoch[size])
        start = time.process_time()
        plain[size].fit(
            *plain_data, batch_size=size, epochs=num_epochs, verbose=0
        )
        seconds = time.process_time() - start
        update_seconds[size].append(
            seconds / num_epochs / updates_per_epoch[size]
        )
update_seconds = {size: np.array(t) for size, t in update_seconds.items()}
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Train the map
#
# All rates and seeds of a batch size at once: for `NUM_EPOCHS` epochs, and
# again for `EQUAL_UPDATES` updates and for equal seconds.


# %%
def rates_for(budget, name, optimizer, batch_size):
    """Learning rates to try, a factor of two apart."""
    shift = round(np.log2(batch_size / REFERENCE_BATCH_SIZE) / 2)
    if budget != "epochs":
        shift += FEW_UPDATES_STEPS[name]
    steps = np.arange(-RATE_STEPS, RATE_STEPS + 1) + shift
    return MIDDLE_RATES[name][optimizer] * 2.0**steps


BUDGETS = ["epochs", "updates", "seconds"]
first_size = CURVE_BATCH_SIZES[0]


def updates_for(budget, name, batch_size):
    """Updates that a batch size makes within a budget."""
    if budget == "epochs":
        return updates_in(name, batch_size, NUM_EPOCHS)
    if budget == "updates":
        return EQUAL_UPDATES
    cost = update_seconds[batch_size].mean() / update_seconds[first_size].mean()
    return max(1, round(EQUAL_UPDATES / cost))


maps = {}
for name in data:
    for optimizer in OPTIMIZERS:
        for batch_size in BATCH_SIZES:
            for number, budgets in enumerate([BUDGETS[:1], BUDGETS[1:]]):
                ends = {
                    budget: updates_for(budget, name, batch_size)
                    for budget in budgets
                }
                checkpoints = sorted(set(ends.values()))
                found = train(
                    name,
                    optimizer,
                    rates_for(budgets[0], name, optimizer, batch_size),
                    [(checkpoints[-1], batch_size, 1.0)],
                    checkpoints,
                    FIRST_SEED + batch_size + 2 * number,
                )
                for budget, end in ends.items():
                    at = checkpoints.index(end)
                    maps[budget, name, optimizer, batch_size] = {
                        key: rows[at] for key, rows in found.items()
                    }
        print("mapped:", name, optimizer)

# %% [markdown]
# ## Train with a warm-up
#
# The rate rises in even steps over the first `WARMUP_UPDATES` updates.

# %%
warmed = {}
warmup_phases = [
    (WARMUP_UPDATES // 8, WARMUP_BATCH_SIZE, (part + 1) / 9)
    for part in range(8)
]
for optimizer in OPTIMIZERS:
    last = updates_in("mnist1d", WARMUP_BATCH_SIZE, NUM_EPOCHS)
    # A short run is too short for it.
    last = max(last, WARMUP_UPDATES + 1)
    warmed[optimizer] = train(
        "mnist1d",
        optimizer,
        rates_for("epochs", "mnist1d", optimizer, WARMUP_BATCH_SIZE),
        [*warmup_phases, (last - WARMUP_UPDATES, WARMUP_BATCH_SIZE, 1.0)],
        [last],
        FIRST_SEED + WARMUP_BATCH_SIZE,
    )

# %% [markdown]
# ## Train the three curves
#
# Momentum, at one rate; then with the rate raised in proportion from the
# smallest of the three; then with the best rate of each size. Every size makes
# as many updates as the smallest, so that all budgets can be compared.


# %%
def best_rates(budget, name, optimizer, batch_size):
    """The rate with the lowest validation loss: of the mean, of each seed."""
    loss = maps[budget, name, optimizer, batch_size]["validation", "loss"]
    loss = np.nan_to_num(loss, nan=LARGEST_LOSS).clip(max=LARGEST_LOSS)
    rates = rates_for(budget, name, optimizer, batch_size)
    return loss.mean(axis=1).argmin(), rates[loss.argmin(axis=0)]


def tuned_rate(name, optimizer, batch_size):
    best, _ = best_rates("epochs", name, optimizer, batch_size)
    return rates_for("epochs", name, optimizer, batch_size)[best]


RULES = {"fixed": 0.0, "root": 0.5, "linear": 1.0}
CURVE_RULES = ["fixed", "linear", "tuned"]
curve_updates = updates_in("mnist1d", first_size, CURVE_EPOCHS)
curves = {}
for batch_size in CURVE_BATCH_SIZES:
    rates = [
        CURVE_RATE,
        CURVE_RATE * batch_size / first_size,
        tuned_rate("mnist1d", "momentum", batch_size),
    ]
    points = np.geomspace(1, curve_updates, 60)
    per_epoch = updates_in("mnist1d", batch_size, 1)
    checkpoints = sorted(
        {round(point) for point in points}
        | {per_epoch * epoch for epoch in range(1, CURVE_EPOCHS + 1)}
    )
    curves[batch_size] = (
        checkpoints,
        train(
            "mnist1d",
            "momentum",
            rates,
            [(curve_updates, batch_size, 1.0)],
            checkpoints,
            FIRST_SEED + 1 + batch_size,
        ),
    )

# %% [markdown]
# ## Measure
#
# The best rate of a seed is the one with the lowest validation loss; an
# exponent is the slope of its logarithm against that of the batch size, for
# each seed. What a rule costs is measured on the test data.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def capped(loss):
    return np.nan_to_num(loss, nan=LARGEST_LOSS).clip(max=LARGEST_LOSS)


def slopes(study, sizes):
    """One exponent per seed."""
    best = [best_rates(*study, size)[1] for size in sizes]
    return np.polyfit(np.log2(sizes), np.log2(best), 1)[0]


def accuracy_by(rule, budget, name, optimizer, batch_size):
    """Test accuracy of each seed at a rule's rate, or None outside the map.

    Between two rates of the map it is interpolated, in log rate.
    """
    study = budget, name, optimizer
    found = maps[*study, batch_size]["test", "accuracy"]
    if rule == "tuned":
        return found[best_rates(*study, batch_size)[0]]
    # From the mean of the seeds, so that no step of the grid decides.
    _, best = best_rates(*study, REFERENCE_BATCH_SIZE)
    factor = (batch_size / REFERENCE_BATCH_SIZE) ** RULES[rule]
    wanted = np.log2(best).mean() + np.log2(factor)
    tried = np.log2(rates_for(*study, batch_size))
    if not tried[0] <= wanted <= tried[-1]:
        return None
    return np.array([np.interp(wanted, tried, seed) for seed in found.T])


for size in BATCH_SIZES:
    values[f"updates_per_epoch.{size}"] = {
        "value": updates_per_epoch[size],
        "unit": "updates",
        "exact": True,
    }
PARTS = {
    "all": BATCH_SIZES,
    "small": BATCH_SIZES[:3],
    "large": BATCH_SIZES[2:],
}
not_tried = {"value": None, "reason": "a rate outside the map"}
inside = {}
for budget, name, optimizer in itertools.product(BUDGETS, data, OPTIMIZERS):
    study = budget, name, optimizer
    timing = budget == "seconds"
    # Equal epochs are what the rules are stated for; they need no prefix.
    prefix = "" if budget == "epochs" else f"{budget}."
    for part, sizes in PARTS.items():
        key = f"exponent.{prefix}{part}.{name}.{optimizer}"
        put(key, slopes(study, sizes), "1", timing=timing)
    for size in BATCH_SIZES:
        index, best = best_rates(*study, size)
        key = f"best_rate.{prefix}{name}.{optimizer}.{size}"
        put(key, best, "1", ratio=True, timing=timing)
        inside[key] = 0 < index < 2 * RATE_STEPS
for name, optimizer, size in itertools.product(data, OPTIMIZERS, BATCH_SIZES):
    study = "epochs", name, optimizer, size
    tuned = accuracy_by("tuned", *study)
    put(f"accuracy.tuned.{name}.{optimizer}.{size}", tuned, "share")
    for rule in RULES:
        key = f"{rule}.{name}.{optimizer}.{size}"
        found = accuracy_by(rule, *study)
        if found is None:
            values[f"accuracy.{key}"] = not_tried | {"unit": "share"}
            unit = {"unit": "percentage points"}
            values[f"lost.{key}"] = not_tried | unit
            continue
        put(f"accuracy.{key}", found, "share")
        put(f"lost.{key}", 100 * (tuned - found), "percentage points")

for optimizer in OPTIMIZERS:
    without = maps["epochs", "mnist1d", optimizer, WARMUP_BATCH_SIZE]
    found = warmed[optimizer]
    tuned, _ = best_rates("epochs", "mnist1d", optimizer, WARMUP_BATCH_SIZE)
    tuned_again = capped(found["validation", "loss"][-1]).mean(axis=1).argmin()
    too_high = min(tuned + TOO_HIGH_STEPS, 2 * RATE_STEPS)
    pairs = {
        "gain": (tuned_again, tuned),
        "gain_too_high": (too_high, too_high),
    }
    for key, (index, before) in pairs.items():
        put(
            f"warmup.{key}.{optimizer}",
            100
            * (
                found["test", "accuracy"][-1][index]
                - without["test", "accuracy"][before]
            ),
            "percentage points",
        )


def curve(rule, size):
    """Checkpoints, and test accuracy [checkpoints, seeds]."""
    checkpoints, found = curves[size]
    index = CURVE_RULES.index(rule)
    return np.array(checkpoints), found["test", "accuracy"][:, index]


for rule in CURVE_RULES:
    first = curve(rule, first_size)[1][-1]
    for size in CURVE_BATCH_SIZES:
        # As much of each budget as the first size takes for its epochs.
        budgets = {
            "epochs": CURVE_EPOCHS * updates_per_epoch[size],
            "updates": curve_updates,
            "seconds": curve_updates
            * update_seconds[first_size].mean()
            / update_seconds[size].mean(),
        }
        for budget, updates in budgets.items():
            checkpoints, accuracy = curve(rule, size)
            reached = accuracy[checkpoints <= updates][-1]
            timing = budget == "seconds"
            key = f"{budget}.{rule}.{size}"
            put(f"curve.{key}", reached, "share", timing=timing)
            if size != first_size:
                put(
                    f"curve_gap.{key}",
                    100 * (reached - first),
                    "percentage points",
                    timing=timing,
                )
for size in BATCH_SIZES:
    if size == first_size:
        continue
    put(
        f"update_cost.{size}",
        update_seconds[size] / update_seconds[first_size],
        "ratio",
        ratio=True,
        timing=True,
    )

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


judge("no_tuned_rate_is_on_the_edge", all(inside.values()), *inside)
print("on the edge:", [key for key, found in inside.items() if not found])
exponents = {
    part: {
        optimizer: f"exponent.{part}.mnist1d.{optimizer}"
        for optimizer in OPTIMIZERS
    }
    for part in PARTS
}
judge(
    "sgd_begins_in_proportion",
    low(exponents["small"]["sgd"]) > 0.75,
    exponents["small"]["sgd"],
)
judge(
    "sgd_stops_rising",
    high(exponents["large"]["sgd"]) < 0.5,
    exponents["large"]["sgd"],
)
judge(
    "momentum_goes_on_rising",
    low(exponents["large"]["momentum"]) > 0.5,
    exponents["large"]["momentum"],
)
for name in data:
    key = f"exponent.all.{name}.adam"
    judge(
        f"adam_follows_the_root.{name}",
        0.25 < low(key) and high(key) < 0.75,
        key,
    )
    tried = [f"lost.linear.{name}.adam.{size}" for size in BATCH_SIZES[-2:]]
    judge(
        f"linear_rule_breaks_adam.{name}",
        any(low(key) > MARGIN_POINTS for key in tried),
        *tried,
    )
for name, optimizer in itertools.product(data, ["momentum", "adam"]):
    keys = [
        f"exponent.{part}.{name}.{optimizer}" for part in ("updates.all", "all")
    ]
    judge(
        f"moves_less_at_equal_updates.{name}.{optimizer}",
        high(keys[0]) < low(keys[1]),
        *keys,
    )
largest = BATCH_SIZES[-1]
key = f"lost.linear.digits.momentum.{largest}"
judge("linear_rule_breaks_momentum_on_digits", low(key) > 10, key)
key = f"lost.linear.mnist1d.momentum.{BATCH_SIZES[-2]}"
judge(
    "linear_rule_serves_momentum_on_mnist1d",
    high(key) < MARGIN_POINTS,
    key,
)
key = f"curve_gap.epochs.fixed.{largest}"
judge("one_rate_holds_the_largest_back", high(key) < -10, key)
key = f"curve_gap.epochs.linear.{largest}"
judge(
    "linear_rule_helps_the_largest",
    low(key) > high(f"curve_gap.epochs.fixed.{largest}"),
    key,
    f"curve_gap.epochs.fixed.{largest}",
)
key = f"curve_gap.updates.tuned.{largest}"
judge(
    "largest_is_no_worse_after_equal_updates",
    low(key) > -MARGIN_POINTS,
    key,
)
judge(
    "warmup_saves_adam_at_too_high_a_rate",
    low("warmup.gain_too_high.adam") > 0,
    "warmup.gain_too_high.adam",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## The best rate against the batch size

# %%
figure, axes = plt.subplots(
    1, len(data), figsize=(9, 3.5), layout="constrained"
)
for axis, name in zip(axes, data):
    for optimizer in OPTIMIZERS:
        rates = [
            values[f"best_rate.{name}.{optimizer}.{size}"]["value"]
            for size in BATCH_SIZES
        ]
        axis.loglog(BATCH_SIZES, rates, "o-", base=2, label=optimizer)
    axis.set(title=name, xlabel="Batch size", ylabel="Best learning rate")
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
for (budget, name, optimizer, size), found in maps.items():
    series[f"map.{budget}.{name}.{optimizer}.{size}"] = band(
        capped(found["validation", "loss"]),
        rates_for(budget, name, optimizer, size).tolist(),
        "nats",
    )
for optimizer, found in warmed.items():
    series[f"warmup.{optimizer}"] = band(
        capped(found["validation", "loss"][-1]),
        rates_for("epochs", "mnist1d", optimizer, WARMUP_BATCH_SIZE).tolist(),
        "nats",
    )
for budget, name, optimizer in itertools.product(BUDGETS, data, OPTIMIZERS):
    study = budget, name, optimizer
    drawn = {
        f"rule.{budget}.{rule}": [
            accuracy_by(rule, *study, size) for size in BATCH_SIZES
        ]
        for rule in [*RULES, "tuned"]
    }
    drawn[f"best_rate.{budget}"] = [
        best_rates(*study, size)[1] for size in BATCH_SIZES
    ]
    for key, samples in drawn.items():
        intervals = [
            (None, None, None) if each is None
            else mean_interval(each, ratio=key.startswith("best_rate"))
            for each in samples
        ]  # fmt: skip
        series[f"{key}.{name}.{optimizer}"] = {
            "x": BATCH_SIZES,
            "unit": "1" if key.startswith("best_rate") else "share",
        } | dict(zip(("y", "low", "high"), zip(*intervals)))
for size, (checkpoints, found) in curves.items():
    updates = np.array(checkpoints)
    axes_of = {
        "epoch": updates / updates_per_epoch[size],
        "update": updates,
        "second": updates * update_seconds[size].mean(),
    }
    limits = {
        "epoch": CURVE_EPOCHS,
        "update": curve_updates,
        "second": curve_updates * update_seconds[first_size].mean(),
    }
    for rule in CURVE_RULES:
        loss = capped(found["validation", "loss"][:, CURVE_RULES.index(rule)])
        for budget, x in axes_of.items():
            shown = x <= limits[budget]
            series[f"curve.{budget}.{rule}.{size}"] = band(
                loss[shown], x[shown].tolist(), "nats"
            )

results = {"values": values, "judgements": judgements, "series": series}
