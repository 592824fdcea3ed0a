# %% [markdown]
# # Critical batch size and gradient noise scale (PyTorch)
#
# Counts the updates to a target at many batch sizes, each with its best rate,
# and asks whether the gradient noise scale predicts where the gain ends.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import time
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from mnist1d.data import get_dataset_args, make_dataset
from scipy.optimize import least_squares
from sklearn.datasets import load_digits
from torch import nn

from snippets.mean_interval import mean_interval
from snippets.measure_noise_scale_torch import measure_noise_scale_torch
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

BATCH_SIZES = [4, 64, 1024] if SHORT else [1, 4, 16, 64, 256, 1024, 4096]
HIDDEN_UNITS = 32
NUM_CLASSES = 10
# Examples: training, validation, test.
MNIST1D_SPLIT = [1024, 80, 80] if SHORT else [4096, 500, 500]
DIGITS_SPLIT = [1024, 380, 380]
# Loss on data that were not trained on, in nats.
TARGETS = {
    "mnist1d": {"early": 1.6, "late": 1.4},
    "digits": {"early": 1.0, "late": 0.35},
}
# Learning rates: a middle in proportion to the batch size up to a largest,
# and factors of two about it.
RATE_STEPS = [-2, -1, 0, 1, 2]
MIDDLE_RATES = {
    "mnist1d": {"sgd": (0.015, 1.0), "momentum": (0.0015, 0.4)},
    "digits": {"sgd": (0.04, 0.35), "momentum": (0.004, 0.15)},
}
MOMENTUM = 0.9
NUM_SEEDS = 3 if SHORT else 10
# Of the weights, the data and the order of the examples.
FIRST_SEED = 200
# Training gives up after so many examples or updates, whichever is later.
LARGEST_EXAMPLES = 500 if SHORT else 80_000
LARGEST_UPDATES = 60 if SHORT else 800
# Looks at the loss each time that the updates grow by a factor of two.
LOOKS_PER_DOUBLING = 2 if SHORT else 8
# Where the noise scale is measured: updates of plain SGD.
NOISE_BATCH_SIZE = 64
NOISE_RATES = {"mnist1d": 0.5, "digits": 0.25}
NOISE_UPDATES = [0, 4, 8] if SHORT else [0, 8, 16, 32, 64, 128, 256, 384]
NOISE_EXAMPLES = 1024
SMALL_BATCH_SIZE = 4
LARGE_BATCH_SIZE = 512
NUM_BATCHES = 20 if SHORT else 60
# The noise scale "predicts" within the first factor; the cheap estimate is
# "that of the exact one" within the second.
PREDICTION_FACTOR = 2.0
ESTIMATE_FACTOR = 1.25
# Seconds are shown against those of this size.
REFERENCE_BATCH_SIZE = 64
TIMED_SECONDS = 0.05 if SHORT else 0.15
TIMED_REPEATS = 2 if SHORT else 10

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
    x = torch.tensor(x[:, : ends[-1]], dtype=torch.float32)
    y = torch.tensor(y[:, : ends[-1]])
    return list(zip(x.split(split, dim=1), y.split(split, dim=1)))


def for_each_rate(parts, num_rates):
    """All data sets once for each rate, in the order of the models."""
    return [[torch.cat([part] * num_rates) for part in pair] for pair in parts]


data = {name: load(name) for name in TARGETS}


def build_model(seed, num_features=40):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(num_features, HIDDEN_UNITS),
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


def models_for(name, num_rates):
    """Every seed's model, for each of the rates."""
    num_features = data[name][0][0].shape[-1]
    return [
        build_model(seed, num_features)
        for _ in range(num_rates)
        for seed in SEEDS
    ]


def weights_of(model):
    """Kernels [inputs, units] and biases, as NumPy arrays."""
    return [each.detach().numpy().T for each in model.parameters()]


OPTIMIZERS = {"sgd": 0.0, "momentum": MOMENTUM}
# Momentum is compared at the early target only, which takes less time.
STAGES = {"sgd": ["early", "late"], "momentum": ["early"]}


def sizes_for(name):
    return [size for size in BATCH_SIZES if size <= data[name][0][1].shape[-1]]


# %% [markdown]
# ## Count and time the updates
#
# The plain loop, as a reader would write it, in seconds of the processor.
# Sizes take turns, so that a slow moment of the machine falls on all of them.


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def epoch(self):
        """Yields after each update."""
        x, y = (part[0] for part in data["mnist1d"][0])
        for batch in torch.randperm(len(y)).split(self.batch_size):
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.model(x[batch]), y[batch])
            loss.backward()
            self.optimizer.step()
            yield

    def update_seconds(self):
        """Mean seconds of an update, over TIMED_SECONDS."""
        start, updates = time.process_time(), 0
        while time.process_time() - start < TIMED_SECONDS:
            for _ in self.epoch():
                updates += 1
                if time.process_time() - start >= TIMED_SECONDS:
                    break
        return (time.process_time() - start) / updates


plain = {size: PlainTraining(size) for size in BATCH_SIZES}
updates_per_epoch = {
    size: sum(1 for _ in plain[size].epoch()) for size in BATCH_SIZES
}
# As timeit does: the collector's rare long pause would count for one size.
gc.disable()
update_seconds = {size: [] for size in BATCH_SIZES}
for _ in range(TIMED_REPEATS):
    for size in BATCH_SIZES:
        update_seconds[size].append(plain[size].update_seconds())
gc.enable()
update_seconds = {size: np.array(t) for size, t in update_seconds.items()}
for size, seconds in update_seconds.items():
    low, high = 1e6 * seconds.min(), 1e6 * seconds.max()
    print(f"batch of {size}: {low:.0f} to {high:.0f} microseconds an update")
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Train to the targets
#
# All rates and seeds of a batch size at once, until one rate has brought
# every seed to the last target. A rate that is slower cannot be the best.


# %%
def rates_for(name, optimizer, batch_size):
    per_example, largest = MIDDLE_RATES[name][optimizer]
    return min(per_example * batch_size, largest) * 2.0 ** np.array(RATE_STEPS)


def all_arrived(history, target):
    """Whether some rate has brought all its seeds to the target.

    A rate that has done so on the validation data must have done so on the
    test data too, as it may be the one that is chosen.
    """
    chosen, reported = (
        (np.fmin.reduce(history[part]["loss"]) <= target)
        .reshape(len(RATE_STEPS), NUM_SEEDS)
        .all(axis=1)
        for part in ("validation", "test")
    )
    return chosen.any() and reported[chosen].all()


runs = {}
for name in data:
    for optimizer, momentum in OPTIMIZERS.items():
        last_target = TARGETS[name][STAGES[optimizer][-1]]
        for batch_size in sizes_for(name):
            last = max(LARGEST_UPDATES, LARGEST_EXAMPLES // batch_size)
            looks = int(np.log2(last) * LOOKS_PER_DOUBLING) + 1
            checkpoints = sorted(
                {round(point) for point in np.geomspace(1, last, looks)}
            )
            rates = rates_for(name, optimizer, batch_size)
            parts = for_each_rate(data[name], len(rates))
            training, validation, test = parts
            history = train_rates_torch(
                models_for(name, len(rates)),
                np.repeat(rates, NUM_SEEDS).tolist(),
                *training,
                [(last, batch_size, 1.0)],
                checkpoints,
                {"validation": validation, "test": test},
                FIRST_SEED + batch_size,
                momentum=momentum,
                stop=partial(all_arrived, target=last_target),
            )
            for part, found in history.items():
                loss = found["loss"]
                runs[name, optimizer, batch_size, part] = (
                    np.array(checkpoints[: len(loss)]),
                    loss.reshape(len(loss), len(rates), NUM_SEEDS),
                )
        print("trained:", name, optimizer)

# %% [markdown]
# ## Noise scale along training
#
# Exactly, from the gradient of each of `NOISE_EXAMPLES` examples, and by the
# two-batch estimator from gradients of whole batches.


# %%
def exact_noise_scale(weights, x, y):
    """Trace of the covariance of a gradient over the squared full gradient.

    weights: kernel [inputs, units] and bias [units] of each Dense layer, with
    ReLU between them; x [N, features], y [N]. Back-propagation by hand, in
    float64: the gradient of a kernel is an outer product, so the squared norm
    of one example's is the product of two squared norms.
    """
    kernels, biases = weights[::2], weights[1::2]
    inputs = [x.astype("float64")]
    for kernel, bias in zip(kernels[:-1], biases[:-1]):
        inputs.append(np.maximum(inputs[-1] @ kernel + bias, 0))
    outputs = inputs[-1] @ kernels[-1] + biases[-1]
    outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    back = outputs / outputs.sum(axis=1, keepdims=True)
    back[np.arange(len(y)), y] -= 1
    each, full = 0.0, 0.0
    for kernel, layer_input in zip(kernels[::-1], inputs[::-1]):
        squares = (layer_input**2).sum(axis=1) + 1
        each += ((back**2).sum(axis=1) * squares).mean()
        full += ((layer_input.T @ back / len(y)) ** 2).sum()
        full += (back.mean(axis=0) ** 2).sum()
        back = (back @ kernel.T) * (layer_input > 0)
    return (each - full) / full


def two_batch_noise_scale(model, x, y, seed):
    """The snippet's estimate; nan where so few batches do not settle it."""
    try:
        return measure_noise_scale_torch(
            model,
            nn.functional.cross_entropy,
            x,
            y,
            SMALL_BATCH_SIZE,
            LARGE_BATCH_SIZE,
            NUM_BATCHES,
            seed,
        )["noise_scale"]
    except ValueError as error:
        print("not settled:", error)
        return np.nan


noise = {}
for name in data:
    training, validation, _ = data[name]
    some = [part[:, :NOISE_EXAMPLES] for part in training]
    models = models_for(name, 1)
    for before, after in zip([0, *NOISE_UPDATES], NOISE_UPDATES):
        history = {"validation": {"loss": [np.full(NUM_SEEDS, np.nan)]}}
        if after > before:
            history = train_rates_torch(
                models,
                [NOISE_RATES[name]] * NUM_SEEDS,
                *training,
                [(after - before, NOISE_BATCH_SIZE, 1.0)],
                [after - before],
                {"validation": validation},
                FIRST_SEED + after,
            )
        noise[name, after] = {
            "loss": history["validation"]["loss"][-1],
            "exact": np.array(
                [
                    exact_noise_scale(weights_of(model), x, y)
                    for model, x, y in zip(models, *map(np.asarray, some))
                ]
            ),
            "two_batch": np.array(
                [
                    two_batch_noise_scale(model, x, y, seed)
                    for model, x, y, seed in zip(models, *some, SEEDS)
                ]
            ),
        }
    print("noise scale measured:", name)

# %% [markdown]
# ## Measure
#
# The rate of a size is the one that reaches the target on the validation data
# in the fewest updates; the updates reported are those on the test data. The
# hyperbola is fitted for each seed, to the logarithms.

# %%
FEW = {"because": "short run"} if SHORT else {}
NOT_REACHED = "not every run reached the target"
NOT_SETTLED = "in some runs so few batches did not settle it"
values = {}


def put(key, samples, unit, ratio=False, timing=False, missing=NOT_REACHED):
    """Store the mean of the replicates with its interval.

    missing: the reason to give where a replicate has no number.
    """
    samples = np.asarray(samples, dtype=float)
    if np.isnan(samples).any():
        values[key] = {"value": None, "unit": unit, "reason": missing}
        return
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def arrivals(name, optimizer, size, part, target):
    """Updates to the target [rates, seeds]; nan where it was not reached."""
    checkpoints, loss = runs[name, optimizer, size, part]
    reached = loss <= target
    first = checkpoints[reached.argmax(axis=0)].astype(float)
    return np.where(reached.any(axis=0), first, np.nan)


def best_rate_index(name, optimizer, size, target):
    found = arrivals(name, optimizer, size, "validation", target)
    # A rate at which a seed fails is not chosen.
    mean = np.log(found).mean(axis=1)
    return None if np.isnan(mean).all() else int(np.nanargmin(mean))


def hyperbola(sizes, updates):
    """Least updates, critical batch size, and mean error of the fit."""
    result = least_squares(
        lambda both: (
            both[0]
            + np.log1p(np.exp(both[1]) / np.array(sizes))
            - np.log(updates)
        ),
        np.log([updates[-1], 32]),
    )
    return *np.exp(result.x), np.sqrt((result.fun**2).mean())


for size in BATCH_SIZES:
    values[f"updates_per_epoch.{size}"] = {
        "value": updates_per_epoch[size],
        "unit": "updates",
        "exact": True,
    }
inside, to_target, fits = {}, {}, {}
for name in data:
    sizes = sizes_for(name)
    num_examples = data[name][0][1].shape[-1]
    for optimizer in OPTIMIZERS:
        for stage in STAGES[optimizer]:
            target = TARGETS[name][stage]
            study = f"{name}.{optimizer}.{stage}"
            for size in sizes:
                index = best_rate_index(name, optimizer, size, target)
                key = f"updates.{study}.{size}"
                found = arrivals(name, optimizer, size, "test", target)
                updates = (
                    np.full(NUM_SEEDS, np.nan) if index is None
                    else found[index]
                )  # fmt: skip
                to_target[study, size] = updates
                inside[key] = index is not None and (
                    0 < index < len(RATE_STEPS) - 1
                )
                put(key, updates, "updates", ratio=True)
                put(
                    f"epochs.{study}.{size}",
                    updates * size / num_examples,
                    "epochs",
                    ratio=True,
                )
            each = np.array([to_target[study, size] for size in sizes]).T
            if np.isnan(each).any():
                each = np.full_like(each, np.nan)
                fits[study] = np.full((3, NUM_SEEDS), np.nan)
            else:
                fits[study] = np.array(
                    [hyperbola(sizes, row) for row in each]
                ).T
            put(f"floor.{study}", fits[study][0], "updates", ratio=True)
            put(f"critical.{study}", fits[study][1], "examples", ratio=True)
            put(f"fit_error.{study}", fits[study][2], "share")
            small = [size for size in sizes if size <= 16]
            slope = np.log(each[:, len(small) - 1] / each[:, 0]) / np.log(
                small[-1] / sizes[0]
            ) if len(small) > 1 else np.full(NUM_SEEDS, np.nan)  # fmt: skip
            put(f"slope.small.{study}", slope, "1")
            slope = np.log(each[:, -1] / each[:, -2]) / np.log(
                sizes[-1] / sizes[-2]
            )
            put(f"slope.large.{study}", slope, "1")
            seconds = {
                size: values[f"updates.{study}.{size}"]["value"]
                for size in sizes
            }
            if None in seconds.values():
                continue
            seconds = {
                size: update_seconds[size] * updates
                for size, updates in seconds.items()
            }
            for size in sizes:
                if size != REFERENCE_BATCH_SIZE:
                    put(
                        f"seconds_against_reference.{study}.{size}",
                        seconds[size] / seconds[REFERENCE_BATCH_SIZE],
                        "ratio",
                        ratio=True,
                        timing=True,
                    )
    put(
        f"late_against_early.{name}",
        fits[f"{name}.sgd.late"][1] / fits[f"{name}.sgd.early"][1],
        "ratio",
        ratio=True,
    )
    put(
        f"momentum_against_sgd.{name}",
        fits[f"{name}.momentum.early"][1] / fits[f"{name}.sgd.early"][1],
        "ratio",
        ratio=True,
    )
    for stage, target in TARGETS[name].items():
        # The noise scale, averaged over the updates until the seeds' mean
        # loss has arrived.
        loss = np.array([noise[name, at]["loss"] for at in NOISE_UPDATES])
        exact = np.array([noise[name, at]["exact"] for at in NOISE_UPDATES])
        arrived = np.flatnonzero(loss.mean(axis=1) <= target)
        upto = arrived[0] + 1 if len(arrived) else len(NOISE_UPDATES)
        average = (
            np.trapezoid(exact[:upto], NOISE_UPDATES[:upto], axis=0)
            / NOISE_UPDATES[upto - 1]
        )
        put(f"noise_average.{name}.{stage}", average, "examples", ratio=True)
        put(
            f"prediction.{name}.{stage}",
            average / fits[f"{name}.sgd.{stage}"][1],
            "ratio",
            ratio=True,
        )
        if stage == "early":
            put(
                f"prediction_momentum.{name}",
                average / fits[f"{name}.momentum.early"][1],
                "ratio",
                ratio=True,
            )
    for at in NOISE_UPDATES:
        for way in ("exact", "two_batch"):
            put(
                f"noise_scale.{way}.{name}.{at}",
                noise[name, at][way],
                "examples",
                ratio=True,
                missing=NOT_SETTLED,
            )
    ratios = np.array(
        [
            noise[name, at]["two_batch"] / noise[name, at]["exact"]
            for at in NOISE_UPDATES
        ]
    )
    put(
        f"two_batch_against_exact.{name}",
        np.exp(np.nanmean(np.log(ratios), axis=0)),
        "ratio",
        ratio=True,
    )
    put(
        f"noise_growth.{name}",
        noise[name, NOISE_UPDATES[-1]]["exact"] / noise[name, 0]["exact"],
        "ratio",
        ratio=True,
    )

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


judge("no_best_rate_is_on_the_edge", all(inside.values()), *inside)
print("on the edge:", [key for key, found in inside.items() if not found])
for name in data:
    late = f"{name}.sgd.late"
    judge(
        f"large_sizes_are_on_the_floor.{name}",
        low(f"slope.large.{late}") > -0.25,
        f"slope.large.{late}",
    )
    judge(
        f"momentum_moves_the_critical_size_up.{name}",
        low(f"momentum_against_sgd.{name}") > 1,
        f"momentum_against_sgd.{name}",
    )
    judge(
        f"a_lower_target_has_a_larger_critical_size.{name}",
        low(f"late_against_early.{name}") > 1,
        f"late_against_early.{name}",
    )
    judge(
        f"two_batches_find_the_exact_scale.{name}",
        low(f"two_batch_against_exact.{name}") > 1 / ESTIMATE_FACTOR
        and high(f"two_batch_against_exact.{name}") < ESTIMATE_FACTOR,
        f"two_batch_against_exact.{name}",
    )
judge(
    "small_sizes_scale_perfectly_on_mnist1d",
    high("slope.small.mnist1d.sgd.late") < -0.75,
    "slope.small.mnist1d.sgd.late",
)
judge(
    "digits_bend_earlier",
    high("critical.digits.sgd.early") < low("critical.mnist1d.sgd.early"),
    "critical.digits.sgd.early",
    "critical.mnist1d.sgd.early",
)
for name in data:
    judge(
        f"noise_scale_is_too_large_early.{name}",
        low(f"prediction.{name}.early") > 1,
        f"prediction.{name}.early",
    )
    judge(
        f"noise_scale_predicts_momentum.{name}",
        low(f"prediction_momentum.{name}") > 1 / PREDICTION_FACTOR
        and high(f"prediction_momentum.{name}") < PREDICTION_FACTOR,
        f"prediction_momentum.{name}",
    )
judge(
    "noise_scale_grows_on_digits",
    low("noise_growth.digits") > 1,
    "noise_growth.digits",
)
judge(
    "noise_scale_fails_early.digits",
    low("prediction.digits.early") > PREDICTION_FACTOR,
    "prediction.digits.early",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Updates to the target against batch size

# %%
figure, axes = plt.subplots(
    1, len(data), figsize=(9, 3.5), layout="constrained"
)
for axis, name in zip(axes, data):
    for optimizer in OPTIMIZERS:
        updates = [
            values[f"updates.{name}.{optimizer}.early.{size}"]["value"]
            for size in sizes_for(name)
        ]
        updates = [np.nan if each is None else each for each in updates]
        axis.loglog(sizes_for(name), updates, "o-", base=2, label=optimizer)
    axis.set(title=name, xlabel="Batch size", ylabel="Updates to the target")
axes[0].legend()
plt.show()

# %% [markdown]
# ## Results


# %%
def as_series(keys, x, unit, factors=None):
    """Values with their intervals, as a series; times a factor each."""
    rows = {"y": [], "low": [], "high": []}
    for key, factor in zip(keys, factors or [1] * len(keys)):
        entry = values[key]
        ends = entry.get("ci", [None, None])
        for row, found in zip(rows.values(), [entry["value"], *ends]):
            row.append(None if found is None else found * factor)
    return {"x": x, "unit": unit} | rows


series = {}
for name in data:
    sizes = sizes_for(name)
    for optimizer in OPTIMIZERS:
        for stage in STAGES[optimizer]:
            study = f"{name}.{optimizer}.{stage}"
            keys = [f"updates.{study}.{size}" for size in sizes]
            series[f"update.{study}"] = as_series(keys, sizes, "updates")
            series[f"second.{study}"] = as_series(
                keys,
                sizes,
                "seconds",
                [float(update_seconds[size].mean()) for size in sizes],
            )
            keys = [f"epochs.{study}.{size}" for size in sizes]
            series[f"epoch.{study}"] = as_series(keys, sizes, "epochs")
            floor, critical = (
                values[f"{part}.{study}"]["value"]
                for part in ("floor", "critical")
            )
            if floor is not None:
                series[f"fit.{study}"] = {
                    "x": sizes,
                    "y": [floor * (1 + critical / size) for size in sizes],
                    "unit": "updates",
                }
    for way in ("exact", "two_batch"):
        keys = [f"noise_scale.{way}.{name}.{at}" for at in NOISE_UPDATES]
        series[f"noise_scale.{way}.{name}"] = as_series(
            keys, NOISE_UPDATES, "examples"
        )

results = {"values": values, "judgements": judgements, "series": series}
