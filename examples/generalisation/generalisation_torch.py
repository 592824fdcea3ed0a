# %% [markdown]
# # Generalisation: what is left of it when the comparison is fair (PyTorch)
#
# Trains one network at four batch sizes under four budgets, and measures how
# sharp the solutions are that it finds.
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
from scipy import stats
from torch import nn

from snippets.mean_interval import mean_interval
from snippets.measure_sharpness_torch import measure_sharpness_torch
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

BATCH_SIZES = [4, 32, 256, 1000]
REFERENCE_BATCH_SIZE = 32
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 32
# Examples of each replicate, whose data are its own.
NUM_TRAIN = 1000
NUM_VALIDATION = 500
NUM_TEST = 200 if SHORT else 2000
NUM_SEEDS = 2 if SHORT else 16
FIRST_SEED = 2000
MOMENTUM = 0.9
# Learning rates are powers of two; the exponents tried for each batch size.
RATE_EXPONENTS = {
    4: [-10, -9, -8, -7, -6, -5],
    32: [-7, -6, -5, -4, -3],
    256: [-6, -5, -4, -3, -2, -1, 0],
    1000: [-6, -5, -4, -3, -2, -1, 0, 1],
}
# The one rate for all sizes: about the best of REFERENCE_BATCH_SIZE.
ONE_RATE_EXPONENT = -6
# Budgets; the last of each is the one that is judged.
NUM_EPOCHS = [1, 2] if SHORT else [10, 20, 30]
NUM_UPDATES = [10, 20] if SHORT else [50, 100, 200]
# Time, counted in the time of an update of REFERENCE_BATCH_SIZE.
NUM_TIMES = [8, 16] if SHORT else [40, 80, 160]
# From one look to the next, the number of updates grows by this factor.
LOOK_FACTOR = 1.35
FIRST_LOOK = 5
# "Level" is less than this, in percentage points. Set beforehand, from how
# much the replicates of a trial with other seeds varied.
MARGIN_POINTS = 2.0
# Sharpness is measured when the training loss first passes this level.
LEVEL = 2.2 if SHORT else 0.5
MAX_EPOCHS_TO_LEVEL = 4 if SHORT else 1000
SHARPNESS_SEEDS = 2 if SHORT else 12
SHARPNESS_EXPONENTS = {
    4: [-9, -8],
    32: [-7, -6, -5],
    256: [-5, -4, -3],
    1000: [-4, -3, -2],
}
POWER_ITERATIONS = 3 if SHORT else 40
# One layer is multiplied by this, and the next divided.
RESCALED_BY = 10.0
TIMED_UPDATES = 2 if SHORT else 15
TIMED_REPEATS = 2 if SHORT else 12

# %% [markdown]
# ## Data and network
#
# MNIST-1D: drawn signals of ten kinds. Each replicate has training,
# validation and test data of its own, so that an interval holds for another
# data set as well.


# %%
def make_data(seed):
    arguments = get_dataset_args()
    arguments.num_samples = NUM_TRAIN + NUM_VALIDATION + NUM_TEST
    # The package keeps back one example at least; it is put in its place.
    arguments.train_split = 1 - 1e-9
    arguments.seed = seed
    drawn = make_dataset(arguments)
    x = np.concatenate([drawn["x"], drawn["x_test"]]).astype("float32")
    y = np.concatenate([drawn["y"], drawn["y_test"]])
    return x, y


ends = [NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION]
drawn = [make_data(FIRST_SEED + number) for number in range(NUM_SEEDS)]
x_parts = np.split(np.stack([x for x, _ in drawn]), ends, axis=1)
y_parts = np.split(np.stack([y for _, y in drawn]), ends, axis=1)
# [seeds, examples, features] and [seeds, examples].
data = dict(zip(("train", "validation", "test"), zip(x_parts, y_parts)))


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
    for layer in (model[0], model[2], model[4]):
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def for_rates(part, rates, seeds=NUM_SEEDS):
    """One part of the data, repeated for each rate: [rates * seeds, ...]."""
    x, y = data[part]
    return (
        torch.tensor(np.tile(x[:seeds], (rates, 1, 1))),
        torch.tensor(np.tile(y[:seeds], (rates, 1))),
    )


# %% [markdown]
# ## Count and time the updates of a plain loop
#
# Processor time of one thread; the first updates are discarded, and sizes
# take turns.


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.001, momentum=MOMENTUM
        )
        self.x, self.y = (torch.tensor(part[0]) for part in data["train"])
        self.random = torch.Generator().manual_seed(FIRST_SEED)
        self.batches = []

    def update(self):
        if not self.batches:
            order = torch.randperm(NUM_TRAIN, generator=self.random)
            self.batches = list(order.split(self.batch_size))
            self.per_epoch = len(self.batches)
        batch = self.batches.pop()
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(
            self.model(self.x[batch]), self.y[batch]
        )
        loss.backward()
        self.optimizer.step()


def time_updates(training):
    start = time.process_time()
    for _ in range(TIMED_UPDATES):
        training.update()
    return (time.process_time() - start) / TIMED_UPDATES


plain = {batch_size: PlainTraining(batch_size) for batch_size in BATCH_SIZES}
update_seconds = {batch_size: [] for batch_size in BATCH_SIZES}
for _ in range(TIMED_REPEATS + 1):
    for batch_size in BATCH_SIZES:
        update_seconds[batch_size].append(time_updates(plain[batch_size]))
update_seconds = {size: np.array(t[1:]) for size, t in update_seconds.items()}
updates_per_epoch = {size: plain[size].per_epoch for size in BATCH_SIZES}
# The time of an update, in updates of the reference size.
update_time = {
    size: np.median(seconds / update_seconds[REFERENCE_BATCH_SIZE])
    for size, seconds in update_seconds.items()
}
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Train
#
# One long run for each size, rate and replicate serves all budgets, as the
# rate stays constant: it is looked at when a budget is spent, and now and
# then for the early stop.


# %%
def updates_for(batch_size):
    """{(kind of budget, amount): number of updates}."""
    found = {}
    for epochs in NUM_EPOCHS:
        found["epochs", epochs] = epochs * updates_per_epoch[batch_size]
    for updates in NUM_UPDATES:
        found["updates", updates] = updates
    last = max(found.values())
    for amount in NUM_TIMES:
        bought = int(amount / update_time[batch_size])
        found["time", amount] = min(max(bought, 1), last)
    return found


runs = {}
for batch_size in BATCH_SIZES:
    budgets = updates_for(batch_size)
    last = max(budgets.values())
    looks = FIRST_LOOK * LOOK_FACTOR ** np.arange(99)
    checkpoints = {int(look) for look in looks if look < last}
    checkpoints = sorted(checkpoints | set(budgets.values()))
    exponents = RATE_EXPONENTS[batch_size]
    history = train_rates_torch(
        [
            build_model(FIRST_SEED + number)
            for _ in exponents
            for number in range(NUM_SEEDS)
        ],
        [2.0**exponent for exponent in exponents for _ in range(NUM_SEEDS)],
        *for_rates("train", len(exponents)),
        [(last, batch_size, 1.0)],
        checkpoints,
        {
            part: for_rates(part, len(exponents))
            for part in ("train", "validation", "test")
        },
        seed=FIRST_SEED + batch_size,
        momentum=MOMENTUM,
    )
    shape = (len(checkpoints), len(exponents), NUM_SEEDS)
    # [checkpoints, rates, seeds].
    runs[batch_size] = {
        (part, what): found.reshape(shape)
        for part, kinds in history.items()
        for what, found in kinds.items()
    } | {"checkpoints": np.array(checkpoints), "budgets": budgets}
    print("trained with batch size", batch_size)

# %% [markdown]
# ## Losses, gradients and curvature of many networks at once
#
# The weights of a network are one row of a matrix, so that the training below
# and the power iteration are a few lines of NumPy.


# %%
def as_row(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy()


def as_model(row):
    model = build_model(0)
    nn.utils.vector_to_parameters(torch.tensor(row), model.parameters())
    return model


weight_shapes = [tuple(weight.shape) for weight in build_model(0).parameters()]
weight_counts = [int(np.prod(shape)) for shape in weight_shapes]


def outputs_of(rows, x):
    parts = [
        part.reshape(-1, *shape)
        for part, shape in zip(rows.split(weight_counts, dim=1), weight_shapes)
    ]
    hidden = x.transpose(1, 2)
    for layer in range(0, len(parts), 2):
        if layer:
            hidden = torch.relu(hidden)
        hidden = torch.baddbmm(
            parts[layer + 1][..., None], parts[layer], hidden
        )
    return hidden


def losses_of(rows, x, y):
    each = nn.functional.cross_entropy(outputs_of(rows, x), y, reduction="none")
    return each.mean(dim=1)


def losses_and_hits(rows, x, y):
    """Mean loss and accuracy of each network on data of its own."""
    with torch.no_grad():
        rows, x, y = map(torch.from_numpy, (rows, x, y))
        hits = (outputs_of(rows, x).argmax(dim=1) == y).float().mean(dim=1)
        return losses_of(rows, x, y).numpy(), hits.numpy()


def gradients(rows, x, y):
    rows, x, y = map(torch.from_numpy, (rows, x, y))
    rows.requires_grad_()
    # Networks do not mix in a sum, so each row is that network's gradient.
    total = losses_of(rows, x, y).sum()
    return torch.autograd.grad(total, rows)[0].numpy()


def hessians_times(rows, directions, x, y):
    rows, directions, x, y = map(torch.from_numpy, (rows, directions, x, y))
    rows = rows.clone().requires_grad_()
    total = losses_of(rows, x, y).sum()
    slopes = torch.autograd.grad(total, rows, create_graph=True)[0]
    return torch.autograd.grad((slopes * directions).sum(), rows)[0].numpy()


def sharpness_of_one(row, x, y):
    return measure_sharpness_torch(
        as_model(row),
        nn.functional.cross_entropy,
        torch.tensor(x),
        torch.tensor(y),
        num_iterations=POWER_ITERATIONS,
    )


def rescaled(row):
    """The first layer multiplied, and the weights of the second divided."""
    model = as_model(row)
    with torch.no_grad():
        model[0].weight *= RESCALED_BY
        model[0].bias *= RESCALED_BY
        model[2].weight /= RESCALED_BY
    return as_row(model)


def predictions_of(row, x):
    with torch.no_grad():
        return as_model(row)(torch.tensor(x)).numpy()


# %% [markdown]
# ## Train to one training loss, and measure the sharpness there
#
# A network stops moving at the first look at which its training loss is below
# the level. A look follows every epoch, or every fourth where an epoch is one
# update.


# %%
def train_to_level(batch_size, exponents):
    """Weights, training losses and updates made when the level is passed."""
    replicas = len(exponents) * SHARPNESS_SEEDS
    x, y = (
        np.asarray(part)
        for part in for_rates("train", len(exponents), SHARPNESS_SEEDS)
    )
    initial = [
        as_row(build_model(FIRST_SEED + number))
        for number in range(SHARPNESS_SEEDS)
    ]
    rows = np.tile(np.stack(initial), (len(exponents), 1))
    rates = np.repeat(2.0 ** np.array(exponents), SHARPNESS_SEEDS)
    rates = rates[:, None].astype("float32")
    speed = np.zeros_like(rows)
    moving = np.ones_like(rates)
    made = np.zeros(replicas)
    random = np.random.default_rng(FIRST_SEED)
    in_order = np.tile(np.arange(NUM_TRAIN), (replicas, 1))
    which = np.arange(replicas)[:, None]
    every = 4 if batch_size == NUM_TRAIN else 1
    for epoch in range(MAX_EPOCHS_TO_LEVEL):
        if epoch % every == 0:
            losses, _ = losses_and_hits(rows, x, y)
            moving *= losses[:, None] > LEVEL
            if not moving.any():
                break
        order = random.permuted(in_order, axis=1)
        for start in range(0, NUM_TRAIN, batch_size):
            batch = order[:, start : start + batch_size]
            slopes = gradients(rows, x[which, batch], y[which, batch])
            speed = np.float32(MOMENTUM) * speed + slopes
            rows = rows - moving * rates * speed
            made += moving[:, 0]
    losses, _ = losses_and_hits(rows, x, y)
    return rows, losses, made


def sharpnesses(rows, x, y, seed=FIRST_SEED):
    """Top eigenvalue of each network's Hessian, by power iteration."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=rows.shape).astype("float32")
    for _ in range(POWER_ITERATIONS):
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        products = hessians_times(rows, directions, x, y)
        found = (directions * products).sum(axis=1)
        directions = products
    return found


x_one, y_one = (part[0] for part in data["train"])
at_level = {}
for batch_size, exponents in SHARPNESS_EXPONENTS.items():
    rows, losses, made = train_to_level(batch_size, exponents)
    repeated = (len(exponents), SHARPNESS_SEEDS)
    train_data = for_rates("train", len(exponents), SHARPNESS_SEEDS)
    test_data = for_rates("test", len(exponents), SHARPNESS_SEEDS)
    train_data, test_data = (
        [np.asarray(part) for part in parts]
        for parts in (train_data, test_data)
    )
    _, hits = losses_and_hits(rows, *test_data)
    # [rates, seeds].
    at_level[batch_size] = {
        "rows": rows.reshape(*repeated, -1),
        "loss": losses.reshape(repeated),
        "updates": made.reshape(repeated),
        "sharpness": sharpnesses(rows, *train_data).reshape(repeated),
        "test_accuracy": hits.reshape(repeated),
    }
    print("measured the sharpness with batch size", batch_size)

# %% [markdown]
# ## Rescale two layers
#
# A ReLU passes a positive factor on, so the network computes the same.

# %%
middle = at_level[REFERENCE_BATCH_SIZE]["rows"][1]
train_data = [
    np.asarray(part) for part in for_rates("train", 1, SHARPNESS_SEEDS)
]
changed = np.stack([rescaled(row) for row in middle])
# From two directions, to see how far the power iteration has come.
two_starts = np.stack(
    [sharpnesses(middle, *train_data, seed=seed) for seed in (0, 1)]
)
rescaling_factor = sharpnesses(changed, *train_data) / two_starts.max(axis=0)
x_test = data["test"][0]
largest_change = np.array(
    [
        np.abs(predictions_of(old, x) - predictions_of(new, x)).max()
        for old, new, x in zip(middle, changed, x_test)
    ]
)
# The function for one model, which readers copy, against the one for many.
snippet_ratio = sharpness_of_one(middle[0], x_one, y_one) / two_starts[:, 0]
print("the snippet finds this share of the two:", snippet_ratio)

# %% [markdown]
# ## Measure
#
# Rates are chosen by the mean validation accuracy of all replicates, and
# accuracy is reported on the test data. A difference pairs the runs that
# share data and initial weights.

# %%
FEW = {"because": "short run"} if SHORT else {}
NOT_MEASURED = "not every run reached the training loss"
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    samples = np.asarray(samples, dtype=float)
    if not np.isfinite(samples).all() or (ratio and samples.min() <= 0):
        values[key] = {"value": None, "unit": unit, "reason": NOT_MEASURED}
        return
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def put_exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def at_budget(batch_size, kind, amount, part, what="accuracy"):
    """[rates, seeds] when the budget is spent."""
    run = runs[batch_size]
    updates = run["budgets"][kind, amount]
    return run[part, what][np.searchsorted(run["checkpoints"], updates)]


def best_look(batch_size):
    """[rates]: the look of best mean validation accuracy, for each rate.

    Of all replicates together, so that it is the length of training that is
    chosen, and not each run's luckiest moment, which favours noisy runs.
    """
    seen = runs[batch_size]["validation", "accuracy"]
    return seen.mean(axis=2).argmax(axis=0)


def at_best_look(batch_size, part, what="accuracy"):
    """[rates, seeds] after the best length of training for each rate."""
    looks = best_look(batch_size)[None, :, None]
    return np.take_along_axis(runs[batch_size][part, what], looks, axis=0)[0]


LAST_BUDGET = {
    "epochs": NUM_EPOCHS[-1],
    "updates": NUM_UPDATES[-1],
    "time": NUM_TIMES[-1],
}


def of_regime(regime, batch_size, part, what="accuracy", amount=None):
    """[rates, seeds] for the budget of a regime."""
    if regime == "early":
        return at_best_look(batch_size, part, what)
    kind = "epochs" if regime == "one_rate" else regime
    return at_budget(batch_size, kind, amount or LAST_BUDGET[kind], part, what)


def best_rate(regime, batch_size, amount=None):
    """Which of the rates has the best mean validation accuracy."""
    seen = of_regime(regime, batch_size, "validation", amount=amount)
    return int(seen.mean(axis=1).argmax())


def tuned(regime, batch_size, part="test", what="accuracy", amount=None):
    """[seeds] at the rate that the regime prescribes."""
    if regime == "one_rate":
        chosen = RATE_EXPONENTS[batch_size].index(ONE_RATE_EXPONENT)
    else:
        chosen = best_rate(regime, batch_size, amount)
    return of_regime(regime, batch_size, part, what, amount)[chosen]


REGIMES = ["one_rate", "epochs", "updates", "time", "early"]
smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
on_the_edge, best_rates, best_lengths = 0, {}, []
for batch_size in BATCH_SIZES:
    put_exact(
        f"updates_per_epoch.{batch_size}",
        updates_per_epoch[batch_size],
        "updates",
    )
    put(
        f"update_time.{batch_size}",
        update_seconds[batch_size] / update_seconds[REFERENCE_BATCH_SIZE],
        "ratio",
        ratio=True,
        timing=True,
    )
    for regime in REGIMES:
        key = f"{regime}.{batch_size}"
        timed = regime == "time"
        accuracy = tuned(regime, batch_size)
        put(f"accuracy.{key}", 100 * accuracy, "percent", timing=timed)
        put(
            f"train_accuracy.{key}",
            100 * tuned(regime, batch_size, "train"),
            "percent",
            timing=timed,
        )
        put(
            f"train_loss.{key}",
            tuned(regime, batch_size, "train", "loss"),
            "loss",
            timing=timed,
        )
        if batch_size != REFERENCE_BATCH_SIZE:
            put(
                f"gap.{key}",
                100 * (accuracy - tuned(regime, REFERENCE_BATCH_SIZE)),
                "percentage points",
                timing=timed,
            )
        if regime != "one_rate":
            chosen = best_rate(regime, batch_size)
            last_rate = len(RATE_EXPONENTS[batch_size]) - 1
            on_the_edge += chosen in (0, last_rate)
            exponent = RATE_EXPONENTS[batch_size][chosen]
            print(f"best rate, {regime}, {batch_size}: 2 ** {exponent}")
            best_rates.setdefault(regime, []).append(2.0**exponent)
    seen = runs[batch_size]["validation", "accuracy"]
    chosen = best_rate("early", batch_size)
    length = runs[batch_size]["checkpoints"][best_look(batch_size)[chosen]]
    best_lengths.append(int(length))
    # Runs whose own best look is the last one might have gone on.
    put(
        f"best_at_the_cap.{batch_size}",
        100.0 * (seen[:, chosen].argmax(axis=0) == len(seen) - 1),
        "percent",
    )
print("best numbers of updates:", best_lengths)
put_exact("best_rates_on_the_edge", on_the_edge, "rates")

# One point for each size and rate, with a replicate in each column.
cells = [
    (batch_size, exponent)
    for batch_size, exponents in SHARPNESS_EXPONENTS.items()
    for exponent in exponents
]


def of_cells(what):
    """[cells, seeds]; nan where the training loss was not reached."""
    found = np.concatenate([at_level[size][what] for size in at_level])
    losses = np.concatenate([at_level[size]["loss"] for size in at_level])
    return np.where(losses <= LEVEL, found, np.nan)


log_batch = np.log2([batch_size for batch_size, _ in cells])
log_rate = np.array([exponent for _, exponent in cells], dtype=float)
# A replicate's numbers at one training loss, in the order of the cells.
sharpness, level_accuracy = of_cells("sharpness"), of_cells("test_accuracy")
log_sharpness = np.log2(np.where(sharpness > 0, sharpness, np.nan))


def slopes_on(*columns):
    """[columns, seeds]: of the logarithm of sharpness, by least squares."""
    matrix = np.stack([*columns, np.ones(len(cells))], axis=1)
    return (np.linalg.pinv(matrix) @ log_sharpness)[:-1]


(ratio_slope,) = slopes_on(log_rate - log_batch)
rate_slope, batch_slope = slopes_on(log_rate, log_batch)
put("sharpness_slope.rate_over_batch", ratio_slope, "exponent")
put("sharpness_slope.rate", rate_slope, "exponent")
put("sharpness_slope.batch", batch_slope, "exponent")


def rank_correlations(left, right):
    return [
        stats.spearmanr(one, other).statistic
        for one, other in zip(left.T, right.T)
    ]


ratio = np.repeat((log_rate - log_batch)[:, None], SHARPNESS_SEEDS, axis=1)
put(
    "rank.sharpness_and_ratio",
    rank_correlations(sharpness, ratio),
    "rank correlation",
)
put(
    "rank.sharpness_and_accuracy",
    rank_correlations(sharpness, level_accuracy),
    "rank correlation",
)
losses = of_cells("loss")
put_exact("level_missed", int(np.isnan(losses).sum()), "networks")
put_exact("level_networks", losses.size, "networks")
put("level_loss.lowest", losses.min(axis=0), "loss")
put("level_loss.mean", losses.mean(axis=0), "loss")
for number, (batch_size, exponent) in enumerate(cells):
    # Named after one over the rate, as a key has no sign.
    key = f"{batch_size}.{2**-exponent}"
    put(f"sharpness.{key}", sharpness[number], "sharpness", ratio=True)
    put(f"level_accuracy.{key}", 100 * level_accuracy[number], "percent")
    put(f"level_loss.{key}", losses[number], "loss")


def mean_of_rates(what, batch_size):
    """[seeds]: the mean over the rates at which a size was trained."""
    chosen = [size == batch_size for size, _ in cells]
    return what[chosen].mean(axis=0)


for batch_size in BATCH_SIZES:
    put(
        f"sharpness.{batch_size}",
        2 ** mean_of_rates(log_sharpness, batch_size),
        "sharpness",
        ratio=True,
    )
    put(
        f"level_accuracy.{batch_size}",
        100 * mean_of_rates(level_accuracy, batch_size),
        "percent",
    )
    put(
        f"level_gap.{batch_size}",
        100
        * (
            mean_of_rates(level_accuracy, batch_size)
            - mean_of_rates(level_accuracy, REFERENCE_BATCH_SIZE)
        ),
        "percentage points",
    )
put(
    "sharpness_ratio",
    2
    ** (
        mean_of_rates(log_sharpness, largest)
        - mean_of_rates(log_sharpness, smallest)
    ),
    "ratio",
    ratio=True,
)
put(
    "level_gap.largest_less_smallest",
    100
    * (
        mean_of_rates(level_accuracy, largest)
        - mean_of_rates(level_accuracy, smallest)
    ),
    "percentage points",
)
put("rescaling.sharpness_factor", rescaling_factor, "ratio", ratio=True)
put("rescaling.largest_change", largest_change, "logits")
put("two_starts", two_starts.max(axis=0) / two_starts.min(axis=0), "ratio")

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


for regime in ("one_rate", "updates", "time"):
    key = f"gap.{regime}.{smallest}"
    judge(f"smallest_is_behind.{regime}", high(key) < 0, key)
for regime in ("one_rate", "epochs"):
    key = f"gap.{regime}.{largest}"
    judge(f"largest_is_behind.{regime}", high(key) < 0, key)
for regime in ("updates", "time"):
    key = f"gap.{regime}.{largest}"
    judge(f"largest_is_ahead.{regime}", low(key) > 0, key)
judge(
    "smallest_is_level_at_equal_loss",
    within(f"level_gap.{smallest}", MARGIN_POINTS),
    f"level_gap.{smallest}",
)
judge(
    "every_network_reaches_the_level",
    values["level_missed"]["value"] == 0,
    "level_missed",
)
judge(
    "largest_is_behind_at_equal_loss",
    high("level_gap.largest_less_smallest") < 0,
    "level_gap.largest_less_smallest",
)
judge(
    "no_best_rate_on_the_edge",
    on_the_edge == 0,
    "best_rates_on_the_edge",
)
judge(
    "largest_reaches_a_lower_loss_in_the_same_updates",
    high(f"train_loss.updates.{largest}")
    < low(f"train_loss.updates.{REFERENCE_BATCH_SIZE}"),
    f"train_loss.updates.{largest}",
    f"train_loss.updates.{REFERENCE_BATCH_SIZE}",
)
judge(
    "largest_is_sharper_at_equal_loss",
    low("sharpness_ratio") > 1,
    "sharpness_ratio",
)
judge(
    "sharpness_falls_with_the_rate",
    high("sharpness_slope.rate") < 0,
    "sharpness_slope.rate",
)
judge(
    "sharpness_rises_with_the_batch",
    low("sharpness_slope.batch") > 0,
    "sharpness_slope.batch",
)
judge(
    "sharper_scores_lower",
    high("rank.sharpness_and_accuracy") < 0,
    "rank.sharpness_and_accuracy",
)
judge(
    "rescaled_network_is_ten_times_sharper",
    low("rescaling.sharpness_factor") > 10,
    "rescaling.sharpness_factor",
)
judge(
    "rescaled_network_predicts_the_same",
    high("rescaling.largest_change") < 1e-3,
    "rescaling.largest_change",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Four budgets, one picture
#
# Test accuracy less that of the reference size.

# %%
figure, axis = plt.subplots(layout="constrained")
for regime in REGIMES:
    gaps = [
        values.get(f"gap.{regime}.{size}", {"value": 0.0})["value"]
        for size in BATCH_SIZES
    ]
    gaps = [np.nan if gap is None else gap for gap in gaps]
    axis.plot(BATCH_SIZES, gaps, marker="o", label=regime)
axis.set_xscale("log", base=2)
axis.set(xlabel="batch size", ylabel="percentage points")
axis.legend()
plt.show()

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, x, entries, unit):
    """A line through stored values; None leaves a gap."""
    series[name] = {
        "x": x,
        "y": [entry["value"] for entry in entries],
        "low": [entry.get("ci", [entry["value"]] * 2)[0] for entry in entries],
        "high": [entry.get("ci", [entry["value"]] * 2)[1] for entry in entries],
        "unit": unit,
    }


def entry_of(samples):
    mean, bottom, top = mean_interval(samples)
    return {"value": mean, "ci": [bottom, top]}


AMOUNTS = {"epochs": NUM_EPOCHS, "updates": NUM_UPDATES, "time": NUM_TIMES}
for kind, amounts in AMOUNTS.items():
    for number, amount in enumerate(amounts):
        entries = [
            entry_of(100 * tuned(kind, size, amount=amount))
            for size in BATCH_SIZES
        ]
        put_series(
            f"accuracy_by_size.{kind}.{number}", BATCH_SIZES, entries, "percent"
        )
for regime in REGIMES:
    entries = [
        values.get(f"gap.{regime}.{size}", {"value": 0.0})
        for size in BATCH_SIZES
    ]
    put_series(f"gap.{regime}", BATCH_SIZES, entries, "percentage points")
for regime, found in best_rates.items():
    series[f"best_rate.{regime}"] = {
        "x": BATCH_SIZES,
        "y": found,
        "unit": "learning rate",
    }
series["best_number_of_updates"] = {
    "x": BATCH_SIZES,
    "y": best_lengths,
    "unit": "updates",
}
for size, exponents in SHARPNESS_EXPONENTS.items():
    found = [
        values[f"sharpness.{size}.{2**-exponent}"] for exponent in exponents
    ]
    put_series(
        f"sharpness_by_ratio.{size}",
        [2.0**exponent / size for exponent in exponents],
        found,
        "sharpness",
    )
    scored = [
        values[f"level_accuracy.{size}.{2**-exponent}"]
        for exponent in exponents
    ]
    if all(entry["value"] is not None for entry in found):
        put_series(
            f"accuracy_by_sharpness.{size}",
            [entry["value"] for entry in found],
            scored,
            "percent",
        )

results = {"values": values, "judgements": judgements, "series": series}
