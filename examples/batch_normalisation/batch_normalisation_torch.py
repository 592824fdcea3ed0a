# %% [markdown]
# # Batch normalisation when the batch is tiny (PyTorch)
#
# Trains a small network with batch, layer, group and no normalisation, first
# with the batch of the gradient held fixed, then with both batches the same.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import numpy as np
import torch
from mnist1d.data import get_dataset_args, make_dataset
from torch import nn

from snippets.mean_interval import mean_interval
from snippets.normalise_ghost_batches_torch import (
    normalise_ghost_batches_torch,
)

# %% [markdown]
# ## Settings
#
# Momentum and epsilon of batch normalisation differ between the frameworks'
# defaults; here they are equal. `SHORT = True` gives a run of seconds, to see
# it work; its numbers mean nothing.

# %%
SHORT = False

NUM_TRAIN = 512 if SHORT else 2048
NUM_VALIDATION = 64 if SHORT else 512
NUM_TEST = 512 if SHORT else 1024
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 32
KINDS = ["batch", "layer", "group", "none"]
# Units that group normalisation treats together.
GROUP_SIZE = 8
EPSILON = 1e-5
# Share of the running statistics that stays; PyTorch's is 1 minus this.
RUNNING_SHARE = 0.9
# Momentum of SGD, which is another thing.
MOMENTUM = 0.9

# With the batch of the gradient fixed, only that of the statistics changes.
GRADIENT_BATCH_SIZE = 128
GHOST_SIZES = [2, 32, 128] if SHORT else [2, 4, 8, 32, 128]
GHOST_EPOCHS = 1 if SHORT else 12
# Learning rates are three to the power of these.
GHOST_RATE_POWERS = {
    2: [-6, -5, -4, -3, -2, -1],
    4: [-4, -3, -2, -1, 0],
    8: [-4, -3, -2, -1, 0],
    32: [-4, -3, -2, -1, 0],
    128: [-4, -3, -2, -1, 0],
}

# With both the same.
BATCH_SIZES = [2, 128] if SHORT else [2, 8, 32, 128, 512]
RATE_POWERS = {
    2: [-8, -7, -6, -5, -4, -3, -2],
    8: [-6, -5, -4, -3, -2, -1],
    32: [-5, -4, -3, -2, -1, 0],
    128: [-3, -2, -1, 0, 1],
    512: [-3, -2, -1, 0, 1],
}
NUM_EPOCHS = 1 if SHORT else 5
NUM_UPDATES = 4 if SHORT else 80
# Time, counted in the time of an update of GRADIENT_BATCH_SIZE.
NUM_TIMES = 4 if SHORT else 80

# Of the comparison of gradients, which takes one batch and no training.
MICRO_BATCH_SIZES = [2, 8, 32, 64]
# A relative difference below this is rounding, in float64.
ROUNDING = 1e-10
# Only a larger difference is called one, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 1000
TIMED_UPDATES = 2 if SHORT else 20
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data and network
#
# MNIST-1D: drawn signals of ten kinds. Each seed has data of its own, so that
# an interval holds for another data set as well.


# %%
parts = [NUM_TRAIN, NUM_VALIDATION, NUM_TEST]


def make_data(seed):
    arguments = get_dataset_args()
    # As many of each kind, so a few may be too many; they are left out.
    arguments.num_samples = sum(parts) + NUM_CLASSES
    # The package keeps back one example at least; it is put in its place.
    arguments.train_split = 1 - 1e-9
    arguments.seed = seed
    drawn = make_dataset(arguments)
    x = np.concatenate([drawn["x"], drawn["x_test"]]).astype("float32")
    y = np.concatenate([drawn["y"], drawn["y_test"]]).astype("int64")
    return x, y


seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
drawn = [make_data(seed) for seed in seeds]
ends = np.cumsum(parts)
# [seeds, examples, features] and [seeds, examples].
x_train, x_validation, x_test, _ = (
    torch.tensor(part)
    for part in np.split(np.stack([x for x, _ in drawn]), ends, axis=1)
)
y_train, y_validation, y_test, _ = (
    torch.tensor(part)
    for part in np.split(np.stack([y for _, y in drawn]), ends, axis=1)
)


def build_model(seed):
    """The network before normalisation is put behind its hidden layers."""
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    # The initial weights that Keras draws.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def build_parameters(kind, copies=1):
    """Weights of all seeds, stacked [copies * seeds, ...], for each layer."""
    models = [build_model(seed) for seed in seeds]
    parameters = []
    for number in range(0, len(models[0]), 2):
        kernels = [model[number].weight.detach().T for model in models]
        kernel = torch.stack(kernels).repeat(copies, 1, 1)
        units = kernel.shape[-1]
        parameters += [kernel, torch.zeros(len(kernel), 1, units)]
        if kind != "none" and units != NUM_CLASSES:
            parameters += [
                torch.ones(len(kernel), 1, units),
                torch.zeros(len(kernel), 1, units),
            ]
    return parameters


def normalise(kind, x, gamma, beta, ghost_size):
    """(normalised, statistics), the latter of batch normalisation only."""
    if kind == "batch":
        x, *statistics = normalise_ghost_batches_torch(
            x, gamma, beta, ghost_size, EPSILON
        )
        return x, statistics
    together = x.shape[-1] if kind == "layer" else GROUP_SIZE
    groups = x.reshape(*x.shape[:-1], -1, together)
    groups = nn.functional.layer_norm(groups, (together,), eps=EPSILON)
    return groups.reshape(x.shape) * gamma + beta, []


def forward(parameters, x, kind, ghost_size, fixed=None):
    """(outputs, statistics of each hidden layer) for stacked networks.

    fixed: statistics to normalise with, as in evaluation, in place of those
    of the batch.
    """
    parameters, found = iter(parameters), []
    for layer in range(3):
        kernel, bias = next(parameters), next(parameters)
        x = torch.baddbmm(bias, x, kernel)
        if layer == 2:
            return x, found
        if kind == "batch" and fixed is not None:
            mean, variance = fixed[layer]
            gamma, beta = next(parameters), next(parameters)
            x = (x - mean) * torch.rsqrt(variance + EPSILON) * gamma + beta
        elif kind != "none":
            gamma, beta = next(parameters), next(parameters)
            x, statistics = normalise(kind, x, gamma, beta, ghost_size)
            found.append(statistics)
        x = torch.relu(x)


def losses(outputs, labels):
    each = nn.functional.cross_entropy(
        outputs.flatten(0, 1), labels.flatten(), reduction="none"
    )
    return each.reshape(labels.shape).mean(dim=1)


# %% [markdown]
# ## What the framework's own layer does
#
# With one example, and with the variance that it keeps for evaluation.


# %%
def one_example():
    """(refused, output is beta) for a batch of one in training mode."""
    layer = nn.BatchNorm1d(4, eps=EPSILON)
    with torch.no_grad():
        layer.bias.fill_(3.0)
    try:
        outputs = layer.train()(torch.randn(1, 4))
    except ValueError as error:
        print("a batch of one:", error)
        return True, False
    return False, bool((outputs == 3.0).all())


def kept_variance(batch_size):
    """What the layer keeps, divided by the variance that it divides by."""
    x = torch.randn(batch_size, 1, dtype=torch.float64)
    layer = nn.BatchNorm1d(1, eps=EPSILON, momentum=1.0, dtype=torch.float64)
    layer.train()(x)
    return (layer.running_var / x.var(correction=0)).item()


torch.manual_seed(FIRST_SEED)
one_is_refused, one_gives_beta = one_example()
kept = {size: kept_variance(size) for size in GHOST_SIZES}
print("variance kept:", kept)

# %% [markdown]
# ## Compare accumulated gradients
#
# The gradient of one batch at once, and the mean of the gradients of its
# micro-batches. In float64, where rounding is far below any real difference.


# %%
def gradients(kind, micro_batch_size):
    """[seeds, weights]: the gradient, accumulated over micro-batches."""
    parameters = [each.double() for each in build_parameters(kind)]
    for parameter in parameters:
        parameter.requires_grad_()
    for start in range(0, GRADIENT_BATCH_SIZE, micro_batch_size):
        part = slice(start, start + micro_batch_size)
        outputs, _ = forward(
            parameters, x_train[:, part].double(), kind, micro_batch_size
        )
        loss = losses(outputs, y_train[:, part]).sum()
        (loss * micro_batch_size / GRADIENT_BATCH_SIZE).backward()
    return torch.cat(
        [parameter.grad.flatten(1) for parameter in parameters], dim=1
    ).numpy()


accumulated = {}
for kind in KINDS:
    whole = gradients(kind, GRADIENT_BATCH_SIZE)
    for size in MICRO_BATCH_SIZES:
        difference = gradients(kind, size) - whole
        accumulated[kind, size] = np.linalg.norm(
            difference, axis=1
        ) / np.linalg.norm(whole, axis=1)

# %% [markdown]
# ## Look at what is normalised
#
# The share of values in the first layer that a ghost batch turns into nearly
# plus or minus one, before any training.


# %%
def share_of_signs(ghost_size):
    kernel = build_parameters("none")[0]
    z = torch.bmm(x_train[:, :GRADIENT_BATCH_SIZE], kernel)
    z, _, _ = normalise_ghost_batches_torch(z, 1.0, 0.0, ghost_size, EPSILON)
    return ((z.abs() - 1).abs() < 0.01).double().mean(dim=(1, 2)).numpy()


signs = {size: share_of_signs(size) for size in GHOST_SIZES}

# %% [markdown]
# ## Time a plain update
#
# The network with batch normalisation, in a plain loop. Processor time of one
# thread; sizes take turns, and the first round is discarded.


# %%
class PlainTraining:
    """The loop that a reader would write."""

    def __init__(self):
        base = build_model(FIRST_SEED)
        self.model = nn.Sequential(
            base[0],
            nn.BatchNorm1d(HIDDEN_UNITS, EPSILON, 1 - RUNNING_SHARE),
            base[1],
            base[2],
            nn.BatchNorm1d(HIDDEN_UNITS, EPSILON, 1 - RUNNING_SHARE),
            base[3],
            base[4],
        )
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=MOMENTUM
        )

    def epoch(self, batch_size, num_updates):
        """Number of updates: of an epoch, or num_updates if that is less."""
        batches = torch.split(torch.randperm(NUM_TRAIN), batch_size)
        for batch in batches[:num_updates]:
            outputs = self.model(x_train[0, batch])
            loss = nn.functional.cross_entropy(outputs, y_train[0, batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return len(batches)


plain = PlainTraining()
updates_per_epoch = {}
timed_sizes = sorted({*BATCH_SIZES, GRADIENT_BATCH_SIZE})
update_seconds = {size: [] for size in timed_sizes}
for _ in range(TIMED_REPEATS + 1):
    for size in timed_sizes:
        start = time.process_time()
        updates_per_epoch[size] = plain.epoch(size, TIMED_UPDATES)
        spent = time.process_time() - start
        made = min(TIMED_UPDATES, updates_per_epoch[size])
        update_seconds[size].append(spent / made)
update_seconds = {size: np.array(t[1:]) for size, t in update_seconds.items()}
# The time of an update, in updates of GRADIENT_BATCH_SIZE.
update_time = {
    size: seconds / update_seconds[GRADIENT_BATCH_SIZE]
    for size, seconds in update_seconds.items()
}
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Train
#
# All seeds and rates of a configuration at once. A rate multiplies the loss
# of its networks, which for SGD with momentum is the same as a rate.


# %%
def correction(ghost_size):
    """What PyTorch multiplies the variance by before it keeps it."""
    return ghost_size / (ghost_size - 1)


def keep_statistics(running, found, ghost_size):
    """Running statistics after ghost batches that came one by one."""
    kept = []
    for (mean, variance), (means, variances) in zip(running, found):
        count = means.shape[1]
        shares = RUNNING_SHARE ** torch.arange(count - 1, -1, -1.0)
        shares = (1 - RUNNING_SHARE) * shares[:, None]
        stays = RUNNING_SHARE**count
        new_mean = (means * shares).sum(dim=1, keepdim=True)
        new_variance = (variances * shares).sum(dim=1, keepdim=True)
        kept.append(
            (
                stays * mean + new_mean,
                stays * variance + correction(ghost_size) * new_variance,
            )
        )
    return kept


def look(parameters, kind, ghost_size, running):
    """{(part, statistics): accuracy [rates, seeds]}."""
    copies = parameters[0].shape[0] // NUM_SEEDS
    found = {}
    modes = {"running": running}
    if kind == "batch":
        # Those of all training examples, with the weights as they are now.
        _, modes["population"] = forward(
            parameters, x_train.repeat(copies, 1, 1), kind, NUM_TRAIN
        )
        modes["training"] = None
    for part, x, y in (
        ("validation", x_validation, y_validation),
        ("test", x_test, y_test),
    ):
        for mode, fixed in modes.items():
            if part == "validation" and mode != "running":
                continue
            outputs, _ = forward(
                parameters, x.repeat(copies, 1, 1), kind, ghost_size, fixed
            )
            right = outputs.argmax(dim=2) == y.repeat(copies, 1)
            found[part, mode] = (
                right.double().mean(dim=1).reshape(copies, -1).numpy()
            )
    return found


def train(kind, batch_size, ghost_size, rate_powers, looks):
    """{number of updates: what `look` found}, for each of looks."""
    copies = len(rate_powers)
    parameters = [
        each.requires_grad_() for each in build_parameters(kind, copies)
    ]
    optimizer = torch.optim.SGD(
        parameters, lr=1.0, momentum=MOMENTUM, fused=True
    )
    rates = 3.0 ** torch.tensor(rate_powers).repeat_interleave(NUM_SEEDS)
    units = torch.zeros(copies * NUM_SEEDS, 1, HIDDEN_UNITS)
    running = [(units, units + 1)] * 2
    random = np.random.default_rng(FIRST_SEED + batch_size)
    rows = torch.arange(NUM_SEEDS)[:, None]
    in_order = np.tile(np.arange(NUM_TRAIN), (NUM_SEEDS, 1))
    history, position = {}, NUM_TRAIN
    for update in range(1, max(looks) + 1):
        if position >= NUM_TRAIN:
            order = torch.from_numpy(random.permuted(in_order, axis=1))
            position = 0
        batch = order[:, position : position + batch_size]
        position += batch_size
        # The same examples for every rate.
        inputs = x_train[rows, batch].repeat(copies, 1, 1)
        labels = y_train[rows, batch].repeat(copies, 1)
        outputs, found = forward(parameters, inputs, kind, ghost_size)
        optimizer.zero_grad()
        (losses(outputs, labels) * rates).sum().backward()
        optimizer.step()
        with torch.no_grad():
            if kind == "batch":
                running = keep_statistics(running, found, ghost_size)
            if update in looks:
                history[update] = look(parameters, kind, ghost_size, running)
    return history


def updates_for(batch_size):
    """{budget: number of updates}."""
    return {
        "epochs": NUM_EPOCHS * updates_per_epoch[batch_size],
        "updates": NUM_UPDATES,
        "seconds": max(
            1, round(NUM_TIMES / np.median(update_time[batch_size]))
        ),
    }


ghost_updates = GHOST_EPOCHS * updates_per_epoch[GRADIENT_BATCH_SIZE]
ghost_runs = {}
for kind in KINDS:
    for size in GHOST_SIZES if kind == "batch" else [GRADIENT_BATCH_SIZE]:
        ghost_runs[kind, size] = train(
            kind,
            GRADIENT_BATCH_SIZE,
            size,
            GHOST_RATE_POWERS[size],
            {ghost_updates},
        )[ghost_updates]
print("trained with a gradient batch of", GRADIENT_BATCH_SIZE)
runs = {}
for kind in KINDS:
    for size in BATCH_SIZES:
        looks = updates_for(size)
        history = train(
            kind, size, size, RATE_POWERS[size], set(looks.values())
        )
        for budget, update in looks.items():
            runs[budget, kind, size] = history[update]
    print("trained with each batch size:", kind)

# %% [markdown]
# ## Measure
#
# A rate is chosen by the mean validation accuracy of the seeds and reported
# on test data. Differences are paired by seed, which has its own data.

# %%
FEW = {"because": "short run"} if SHORT else {}
POINTS = "percentage points"
values, inside = {}, {}
draws = np.random.default_rng(FIRST_SEED).integers(
    NUM_SEEDS, size=(1000, NUM_SEEDS)
)


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def put_exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


def low(key):
    return values[key]["ci"][0]


def high(key):
    return values[key]["ci"][1]


def best(run):
    return run["validation", "running"].mean(axis=1).argmax()


def put_rate(key, run, powers, timing=False):
    """Store the chosen rate; its interval is over seeds drawn again."""
    found = run["validation", "running"][:, draws].mean(axis=2).argmax(axis=0)
    ends = np.quantile(found, [0.025, 0.975]).round().astype(int)
    index = best(run)
    ends = [min(ends[0], index), max(ends[1], index)]
    values[key] = {"value": 3.0 ** powers[index], "n": NUM_SEEDS}
    values[key] |= {"ci": [3.0 ** powers[end] for end in ends]}
    values[key] |= {"unit": "rate"} | FEW | ({"timing": True} if timing else {})
    inside[key] = 0 < index < len(powers) - 1


def accuracy(run, mode="running"):
    """Percent, for each seed."""
    return 100 * run["test", mode][best(run)]


put_exact("refused_batches_of_one", int(one_is_refused), "batches")
put_exact("batches_of_one_that_give_beta", int(one_gives_beta), "batches")
for size, factor in kept.items():
    put_exact(f"kept_variance.{size}", factor, "ratio")
    put(f"share_of_signs.{size}", 100 * signs[size], "percent")
for size, count in updates_per_epoch.items():
    put_exact(f"updates_per_epoch.{size}", count, "updates")
    if size != GRADIENT_BATCH_SIZE:
        key = f"update_time.{size}"
        put(key, update_time[size], "ratio", ratio=True, timing=True)
for (kind, size), differences in accumulated.items():
    if kind == "batch":
        put(f"accumulation.{size}", differences, "ratio", ratio=True)
    equal = int((differences < ROUNDING).sum())
    put_exact(f"accumulation_equal.{kind}.{size}", equal, "seeds")

# The gradient's batch is fixed; the statistics' is the ghost size.
smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
whole = accuracy(ghost_runs["batch", GRADIENT_BATCH_SIZE])
for (kind, size), run in ghost_runs.items():
    name = size if kind == "batch" else kind
    put_rate(f"ghost.rate.{name}", run, GHOST_RATE_POWERS[size])
    put(f"ghost.accuracy.{name}", accuracy(run), "percent")
    if kind != "batch":
        continue
    layer = accuracy(ghost_runs["layer", GRADIENT_BATCH_SIZE])
    put(f"ghost.behind_layer.{size}", layer - accuracy(run), POINTS)
    population = accuracy(run, "population")
    put(f"ghost.population.{size}", population, "percent")
    put(f"ghost.repaired.{size}", population - accuracy(run), POINTS)
    training = accuracy(run, "training")
    put(f"ghost.training.{size}", training, "percent")
    put(f"ghost.training_below.{size}", accuracy(run) - training, POINTS)
    if size != GRADIENT_BATCH_SIZE:
        put(f"ghost.lost.{size}", whole - accuracy(run), POINTS)

# Both batches are the same.
for (budget, kind, size), run in runs.items():
    timed = budget == "seconds"
    name = f"{budget}.{kind}.{size}"
    put_rate(f"rate.{name}", run, RATE_POWERS[size], timing=timed)
    put(f"accuracy.{name}", accuracy(run), "percent", timing=timed)
    if kind != "batch":
        continue
    for other in KINDS[1:]:
        ahead = accuracy(runs[budget, other, size]) - accuracy(run)
        put(f"behind_{other}.{budget}.{size}", ahead, POINTS, timing=timed)
    population = accuracy(run, "population")
    put(f"population.{budget}.{size}", population, "percent", timing=timed)
    repaired = population - accuracy(run)
    put(f"repaired.{budget}.{size}", repaired, POINTS, timing=timed)
for key, entry in values.items():
    if key.startswith(("ghost.", "accuracy.epochs.", "accumulation.")):
        interval = [f"{end:.3g}" for end in entry.get("ci", [])]
        print(f"{key:36}{entry['value']:10.3g}", *interval)

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def judge_more(name, key):
    """More than the margin, and with the whole interval."""
    judge(name, low(key) > MARGIN_POINTS, key)


judge("one_is_refused", one_is_refused, "refused_batches_of_one")
judge("one_gives_only_beta", one_gives_beta, "batches_of_one_that_give_beta")
judge("kept_variance_is_corrected", kept[2] > 1.5, "kept_variance.2")
judge("two_become_signs", low("share_of_signs.2") > 90, "share_of_signs.2")
for kind in KINDS:
    keys = [f"accumulation_equal.{kind}.{size}" for size in MICRO_BATCH_SIZES]
    holds = all(values[key]["value"] == NUM_SEEDS for key in keys)
    judge(f"accumulation_is_exact.{kind}", holds, *keys)
judge_more("ghosts_of_two_lose", "ghost.lost.2")
if not SHORT:
    judge_more("ghosts_of_eight_lose", "ghost.lost.8")
    judge_more("training_mode_is_worse_at_four", "ghost.training_below.4")
judge_more("ghosts_of_two_are_behind_layer", "ghost.behind_layer.2")
judge_more("population_repairs_few_updates", f"repaired.epochs.{largest}")
for other in KINDS[1:]:
    key = f"behind_{other}.epochs.{GRADIENT_BATCH_SIZE}"
    judge(f"batch_leads_{other}_at_128", high(key) < -MARGIN_POINTS, key)
for other in KINDS[1:]:
    judge_more(
        f"two_are_behind_{other}.epochs", f"behind_{other}.epochs.{smallest}"
    )
    judge_more(
        f"two_are_behind_{other}.updates", f"behind_{other}.updates.{smallest}"
    )
    judge_more(
        f"two_are_behind_{other}.seconds", f"behind_{other}.seconds.{smallest}"
    )
judge("rates_lie_inside_their_grids", all(inside.values()), *inside)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)
print("on the edge:", [key for key, holds in inside.items() if not holds])

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, sizes, keys):
    entries = [values[key] for key in keys]
    series[name] = {
        "x": sizes,
        "y": [entry["value"] for entry in entries],
        "low": [entry["ci"][0] for entry in entries],
        "high": [entry["ci"][1] for entry in entries],
        "unit": entries[0]["unit"],
    }


for mode in ("accuracy", "population", "training"):
    keys = [f"ghost.{mode}.{size}" for size in GHOST_SIZES]
    put_series(f"ghost.{mode}", GHOST_SIZES, keys)
for kind in KINDS[1:]:
    # Without statistics of the batch, no ghost size can change them.
    keys = [f"ghost.accuracy.{kind}"] * len(GHOST_SIZES)
    put_series(f"ghost.{kind}", GHOST_SIZES, keys)
for kind in KINDS:
    for budget in ("epochs", "updates", "seconds"):
        keys = [f"accuracy.{budget}.{kind}.{size}" for size in BATCH_SIZES]
        put_series(f"{budget}.{kind}", BATCH_SIZES, keys)
for budget in ("epochs", "updates", "seconds"):
    keys = [f"population.{budget}.{size}" for size in BATCH_SIZES]
    put_series(f"{budget}.population", BATCH_SIZES, keys)

results = {"values": values, "judgements": judgements, "series": series}
