# %% [markdown]
# # Gradient noise (PyTorch)
#
# Takes the gradient of every single example at four stages of training, and
# asks how far the gradient of a mini-batch is from that of all examples.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from mnist1d.data import get_dataset_args, make_dataset
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snippets.compute_example_gradients_torch import (
    compute_example_gradients_torch,
)
from snippets.mean_interval import mean_interval
from snippets.train_replicas_torch import train_replicas_torch

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

BATCH_SIZES = [1, 4, 16, 32, 64, 256, 1024]
# Batches of each size, of each draw, for each network: at least so many, and
# of the small sizes, whose gradients differ most, with so many examples.
NUM_BATCHES = 20 if SHORT else 300
NUM_DRAWN = 60 if SHORT else 9600
NUM_TRAIN = 1500
NUM_FEATURES = {"mnist1d": 40, "digits": 64}
NUM_CLASSES = 10
HIDDEN_UNITS = 64
# Examples that MNIST-1D generates; the first train, the next are fresh.
NUM_GENERATED = 5000
# Training is the same for all that is measured: Adam at its usual rate.
TRAINING_BATCH_SIZE = 32
LEARNING_RATE = 0.001
# Epochs of training at which the gradients are taken.
STAGES = {"start": 0, "early": 1, "middle": 10, "late": 2 if SHORT else 100}
# The stage at which whole epochs of batches are added up.
EPOCH_STAGE = "middle"
# "As predicted" is a slope of log noise on log batch size this close to -1,
# and a ratio of measured to predicted this close to 1. Set beforehand.
MARGIN_SLOPE = 0.05
MARGIN_RATIO = 0.1
# "Like a coin" is a share this close to one half, in percentage points. Set
# beforehand.
COIN_POINTS = 10
# "Equal to rounding" is a relative difference below this. Set beforehand.
ROUNDING = 0.00001
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 1700
TIMED_BATCH_SIZES = [4, 32, 1024]
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data and network
#
# Pixels of the digits are scaled to lie between `0` and `1`.


# %%
def load(name):
    """Training examples and fresh ones that training never sees."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(FIRST_SEED).permutation(len(x))
        x, y = x[order] / 16, y[order]
    else:
        settings = get_dataset_args()
        settings.num_samples = NUM_GENERATED
        made = make_dataset(settings)
        x, y = made["x"], made["y"]
    split = NUM_TRAIN
    x, y = x[: 2 * split], y[: 2 * split]
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    return x[:split], y[:split], x[split:], y[split:]


data = {name: load(name) for name in NUM_FEATURES}


def build_model(seed, name="mnist1d"):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES[name], HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    for layer in (model[0], model[2], model[4]):
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


loss_function = nn.CrossEntropyLoss()

# %% [markdown]
# ## Count and time the updates of a plain loop
#
# One example at a time costs the most per example. Processor time of one
# thread; sizes take turns, and the first epoch of each is not timed.


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.model = build_model(FIRST_SEED)
        self.loader = DataLoader(
            TensorDataset(*data["mnist1d"][:2]),
            batch_size=batch_size,
            shuffle=True,
        )
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=LEARNING_RATE, eps=1e-7
        )

    def epoch(self):
        updates = 0
        for inputs, labels in self.loader:
            self.optimizer.zero_grad()
            loss_function(self.model(inputs), labels).backward()
            self.optimizer.step()
            updates += 1
        return updates


plain = {size: PlainTraining(size) for size in TIMED_BATCH_SIZES}
updates_per_epoch = {size: plain[size].epoch() for size in plain}
print("updates per epoch:", updates_per_epoch)
epoch_seconds = {size: [] for size in TIMED_BATCH_SIZES}
for _ in range(TIMED_REPEATS):
    for batch_size in TIMED_BATCH_SIZES:
        start = time.process_time()
        plain[batch_size].epoch()
        epoch_seconds[batch_size].append(time.process_time() - start)
epoch_seconds = {size: np.array(t) for size, t in epoch_seconds.items()}

# %% [markdown]
# ## Train
#
# A stage is trained from the beginning, in the same order, so that the
# stages of a seed are one training, looked at on its way.


# %%
def train(name, num_epochs):
    """The models of all seeds after so many epochs, and their losses."""
    x, y, x_fresh, y_fresh = data[name]
    models = [build_model(FIRST_SEED + n, name) for n in range(NUM_SEEDS)]
    updates = num_epochs * -(-len(x) // TRAINING_BATCH_SIZE)
    if updates:
        train_replicas_torch(
            models,
            x,
            y,
            TRAINING_BATCH_SIZE,
            LEARNING_RATE,
            [updates],
            x_fresh,
            y_fresh,
            seed=FIRST_SEED,
        )
    return models


models = {
    (name, stage): train(name, num_epochs)
    for name in NUM_FEATURES
    for stage, num_epochs in STAGES.items()
}
print("trained")

# %% [markdown]
# ## Gradients
#
# Of every example at once, and of one batch as a plain loop takes it.


# %%
def example_gradients(model, inputs, labels):
    """The gradient of each example, a NumPy array [N, parameters]."""
    return compute_example_gradients_torch(
        model, loss_function, inputs, labels
    ).numpy()


def batch_gradient(model, inputs, labels):
    """The gradient of the mean loss, a NumPy array [parameters]."""
    loss = loss_function(model(inputs), labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([each.flatten() for each in gradients]).double().numpy()


def mean_loss(model, inputs, labels):
    with torch.no_grad():
        return loss_function(model(inputs), labels).item()


# %% [markdown]
# ## Measure
#
# The noise is the mean squared distance to the full gradient. "The wrong
# way" is a negative inner product with the full gradient: a step that is
# small enough then raises the loss on all examples.


# %%
def draw_batches(random, batch_size, draw):
    """Rows of examples, one batch a row; without replacement by epochs."""
    count = max(NUM_BATCHES, NUM_DRAWN // batch_size)
    if draw == "with":
        return random.integers(NUM_TRAIN, size=(count, batch_size))
    per_epoch = NUM_TRAIN // batch_size
    epochs = [
        random.permutation(NUM_TRAIN)[: per_epoch * batch_size]
        for _ in range(-(-count // per_epoch))
    ]
    return np.concatenate(epochs).reshape(-1, batch_size)[:count]


def squared_lengths(batches, products):
    """Of the mean gradient of each batch, from its inner products."""
    if batches.shape[1] <= 32:
        pairs = products[batches[:, :, None], batches[:, None, :]]
        return pairs.mean(axis=(1, 2))
    # What share each example has in each batch: one product serves them all.
    shares = np.zeros((len(batches), len(products)), dtype="float32")
    np.add.at(shares, (np.arange(len(batches))[:, None], batches), 1)
    shares /= np.float32(batches.shape[1])
    return np.einsum("bn,bn->b", shares @ products, shares)


DRAWS = ["with", "without"]
noise, noise_ratio, cosine, wrong_way, bias_ratio = ({} for _ in range(5))
noise_scale, fresh_cosine, order_error, full_noise = ({} for _ in range(4))
train_loss, fresh_loss = {}, {}
epoch_error, unweighted_error = {}, {}


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def record(table, key, sample):
    table.setdefault(key, []).append(sample)


def measure(name, stage, model, random):
    """Add what one network shows at one stage to the tables above."""
    x, y, x_fresh, y_fresh = data[name]
    key = f"{name}.{stage}"
    gradients = example_gradients(model, x, y)
    full = gradients.mean(axis=0, dtype="float64")
    squared_norm = full @ full
    # Inner products say all about the length and angle of any mean of rows.
    products = gradients @ gradients.T
    along = gradients @ full.astype("float32")
    # The trace of the covariance of one example's gradient.
    trace = np.trace(products, dtype="float64") / NUM_TRAIN - squared_norm
    record(noise_scale, key, trace / squared_norm)
    record(train_loss, key, mean_loss(model, x, y))
    record(fresh_loss, key, mean_loss(model, x_fresh, y_fresh))

    order = random.permutation(NUM_TRAIN)
    whole = batch_gradient(model, x, y)
    again = batch_gradient(model, x[order], y[order])
    record(order_error, key, relative(again, whole))
    record(full_noise, key, relative(whole, full))
    fresh = batch_gradient(model, x_fresh, y_fresh)
    record(
        fresh_cosine,
        key,
        fresh @ whole / np.linalg.norm(fresh) / np.linalg.norm(whole),
    )

    for draw in DRAWS:
        for batch_size in BATCH_SIZES:
            place = f"{key}.{draw}.{batch_size}"
            batches = draw_batches(random, batch_size, draw)
            squares = squared_lengths(batches, products)
            inner = along[batches].mean(axis=1)
            distance = squares - 2 * inner + squared_norm
            lengths = np.sqrt(np.maximum(squares, 1e-30) * squared_norm)
            predicted = trace / batch_size
            if draw == "without":
                predicted *= (NUM_TRAIN - batch_size) / (NUM_TRAIN - 1)
            record(noise, place, distance.mean() / squared_norm)
            record(noise_ratio, place, distance.mean() / predicted)
            record(cosine, place, np.mean(inner / lengths))
            record(wrong_way, place, 100 * np.mean(inner < 0))
            if draw == "without":
                continue
            # Is the mean of all batches no further off than chance has it?
            found = np.bincount(batches.ravel(), minlength=NUM_TRAIN)
            excess = (found / batches.size - 1 / NUM_TRAIN).astype("float32")
            off = excess @ gradients
            record(bias_ratio, place, off @ off * len(batches) / predicted)

    if stage == EPOCH_STAGE:
        ends = range(TRAINING_BATCH_SIZE, NUM_TRAIN, TRAINING_BATCH_SIZE)
        batches = np.split(order, ends)
        found = [batch_gradient(model, x[rows], y[rows]) for rows in batches]
        sizes = [len(rows) for rows in batches]
        weighted = np.average(found, axis=0, weights=sizes)
        record(epoch_error, name, relative(weighted, whole))
        unweighted = np.mean(found, axis=0)
        record(unweighted_error, name, relative(unweighted, whole))


random = np.random.default_rng(FIRST_SEED)
for (name, stage), trained in models.items():
    for model in trained:
        measure(name, stage, model, random)
    print("measured:", name, stage)

# %% [markdown]
# ## Summarise
#
# One number per network, then mean and interval over the networks.

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


def slopes(table, key, correct=False):
    """Slope of log noise on log batch size, for each network."""
    sizes = np.array(BATCH_SIZES)
    rows = np.log([table[f"{key}.{size}"] for size in BATCH_SIZES])
    if correct:
        total = NUM_TRAIN
        rows = rows - np.log((total - sizes) / (total - 1))[:, None]
    return np.polyfit(np.log(sizes), rows, 1)[0]


for batch_size in TIMED_BATCH_SIZES:
    values[f"updates_per_epoch.{batch_size}"] = {
        "value": updates_per_epoch[batch_size],
        "unit": "updates",
        "exact": True,
    }
    if batch_size != TIMED_BATCH_SIZES[0]:
        put(
            f"epoch_speedup.{batch_size}",
            epoch_seconds[TIMED_BATCH_SIZES[0]] / epoch_seconds[batch_size],
            "ratio",
            ratio=True,
            timing=True,
        )
for name in NUM_FEATURES:
    put(f"epoch_error.{name}", epoch_error[name], "relative difference")
    put(f"unweighted_error.{name}", 100 * np.array(unweighted_error[name]), "%")
    found = [
        bias_ratio[f"{name}.{stage}.with.{size}"]
        for stage in STAGES
        for size in BATCH_SIZES
    ]
    put(f"bias_ratio.{name}", np.mean(found, axis=0), "ratio")
    for stage in STAGES:
        key = f"{name}.{stage}"
        put(f"train_loss.{key}", train_loss[key], "nats")
        put(f"fresh_loss.{key}", fresh_loss[key], "nats")
        put(f"noise_scale.{key}", noise_scale[key], "examples", ratio=True)
        put(f"fresh_cosine.{key}", fresh_cosine[key], "cosine")
        put(f"order_error.{key}", order_error[key], "relative difference")
        put(f"full_error.{key}", full_noise[key], "relative difference")
        for draw in DRAWS:
            place = f"{key}.{draw}"
            put(f"slope.{place}", slopes(noise, place), "slope")
            if draw == "without":
                put(
                    f"corrected_slope.{key}",
                    slopes(noise, place, correct=True),
                    "slope",
                )
            for batch_size in BATCH_SIZES:
                at = f"{place}.{batch_size}"
                put(f"noise.{at}", noise[at], "ratio", ratio=True)
                put(f"noise_ratio.{at}", noise_ratio[at], "ratio")
        # Batches of training are drawn without replacement.
        for batch_size in BATCH_SIZES:
            at = f"{key}.{batch_size}"
            drawn = f"{key}.without.{batch_size}"
            put(f"cosine.{at}", cosine[drawn], "cosine")
            put(f"wrong_way.{at}", wrong_way[drawn], "%")
            # No share is below 0, and that of an event not yet seen in n
            # tries may be as large as 3 / n.
            ends = values[f"wrong_way.{at}"]["ci"]
            ends[0] = max(ends[0], 0)
            ends[1] = max(ends[1], 300 / (NUM_BATCHES * NUM_SEEDS))
        # Between the two sizes that articles like to compare.
        put(
            f"noise_drop.{key}",
            np.divide(noise[f"{key}.with.32"], noise[f"{key}.with.1024"]),
            "ratio",
            ratio=True,
        )

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side, at every stage
# that it speaks of.

# %%
judgements = {}


def judge(key, test, because):
    judgements[key] = {
        "holds": bool(all(test(each) for each in because)),
        "because": because,
    }


def near_minus_one(key):
    return abs(low(key) + 1) < MARGIN_SLOPE > abs(high(key) + 1)


for name in NUM_FEATURES:
    judge(
        f"noise_falls_as_one_over_batch.{name}",
        near_minus_one,
        [f"slope.{name}.{stage}.with" for stage in STAGES],
    )
    judge(
        f"noise_falls_faster_without_replacement.{name}",
        lambda key: high(key) < -1 - MARGIN_SLOPE,
        [f"slope.{name}.{stage}.without" for stage in STAGES],
    )
    judge(
        f"correction_explains_it.{name}",
        near_minus_one,
        [f"corrected_slope.{name}.{stage}" for stage in STAGES],
    )
    judge(
        f"epoch_adds_up_to_the_full_gradient.{name}",
        lambda key: high(key) < ROUNDING,
        [f"epoch_error.{name}"],
    )
    judge(
        f"order_changes_only_rounding.{name}",
        lambda key: high(key) < ROUNDING,
        [f"order_error.{name}.{stage}" for stage in STAGES],
    )
    judge(
        f"one_example_is_mostly_right_early.{name}",
        lambda key: high(key) < 50,
        [f"wrong_way.{name}.{stage}.1" for stage in ("start", "early")],
    )
    judge(
        f"one_example_is_a_coin_late.{name}",
        lambda key: (
            50 - COIN_POINTS < low(key) and high(key) < 50 + COIN_POINTS
        ),
        [f"wrong_way.{name}.late.1"],
    )
    judge(
        f"thirty_two_are_mostly_right.{name}",
        lambda key: high(key) < 50,
        [f"wrong_way.{name}.{stage}.32" for stage in STAGES],
    )
    key = f"wrong_way.{name}.late.32"
    judgements[f"wrong_more_often_late.{name}"] = {
        "holds": bool(low(key) > high(f"wrong_way.{name}.early.32")),
        "because": [key, f"wrong_way.{name}.early.32"],
    }
    key = f"noise_scale.{name}.middle"
    judgements[f"noise_scale_grows.{name}"] = {
        "holds": bool(low(key) > high(f"noise_scale.{name}.start")),
        "because": [key, f"noise_scale.{name}.start"],
    }
    key = f"fresh_cosine.{name}.late"
    judgements[f"fresh_data_disagree_late.{name}"] = {
        "holds": bool(high(key) < low(f"fresh_cosine.{name}.start")),
        "because": [key, f"fresh_cosine.{name}.start"],
    }
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Which way a batch points
#
# By batch size, one line for each stage. The thin line is a tossed coin.

# %%
series = {}


def curve(table, place, unit):
    entries = [values[f"{table}.{place}.{size}"] for size in BATCH_SIZES]
    return {
        "x": BATCH_SIZES,
        "y": [entry["value"] for entry in entries],
        "low": [entry["ci"][0] for entry in entries],
        "high": [entry["ci"][1] for entry in entries],
        "unit": unit,
    }


for name in NUM_FEATURES:
    for stage in STAGES:
        key = f"{name}.{stage}"
        series[f"wrong_way.{key}"] = curve("wrong_way", key, "%")
        series[f"cosine.{key}"] = curve("cosine", key, "cosine")
        for draw in DRAWS:
            series[f"noise.{key}.{draw}"] = curve(
                "noise", f"{key}.{draw}", "ratio"
            )

figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for axis, name in zip(axes, NUM_FEATURES):
    for stage in STAGES:
        line = series[f"wrong_way.{name}.{stage}"]
        axis.plot(line["x"], line["y"], marker="o", label=stage)
    axis.axhline(50, linewidth=0.7)
    axis.set_xscale("log", base=2)
    axis.set(title=name, xlabel="batch size", ylabel="% the wrong way")
axes[0].legend()
plt.show()

# %% [markdown]
# ## Results

# %%
results = {"values": values, "judgements": judgements, "series": series}
