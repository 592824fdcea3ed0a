# %% [markdown]
# ## Settings
#
# Momentum and epsilon of batch normalisation differ between the frameworks'
# defaults; here they are equal. `SHORT = True` gives a run of seconds, to see
# it work; its numbers mean nothing.

# %%
import numpy as np

from snippets.draw_mnist1d import draw_mnist1d
from snippets.stack_data_sets import stack_data_sets

SHORT = False

NUM_TRAIN = 512 if SHORT else 2048
NUM_VALIDATION = 64 if SHORT else 512
NUM_TEST = 512 if SHORT else 1024
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 32
KINDS = ["batch", "layer", "group", "none"]
LAYERS = [NUM_FEATURES, HIDDEN_UNITS, HIDDEN_UNITS, NUM_CLASSES]
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
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 1000
TIMED_UPDATES = 2 if SHORT else 20
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data
#
# MNIST-1D: drawn signals of ten kinds. Each seed has data of its own, so that
# an interval holds for another data set as well.


# %%
parts = [NUM_TRAIN, NUM_VALIDATION, NUM_TEST]
seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)


def draw(seed):
    return draw_mnist1d(sum(parts), seed)


# Of each part: [seeds, examples, features] and [seeds, examples].
training, validation, test = stack_data_sets(draw, seeds, parts)
(x_train, y_train), (x_validation, y_validation) = training, validation
x_test, y_test = test

# %% [markdown]
# ## Stacked networks
#
# One for each seed and rate, as batched products. Normalisation comes behind
# each hidden layer, before its ReLU.


# %%
def forward_through(normalise, relu, parameters, x, kind, ghost_size, fixed):
    """(outputs, statistics of each hidden layer) for stacked networks.

    fixed: statistics to normalise with, as in evaluation, in place of those
    of the batch; None for those.
    """
    parameters, found = iter(parameters), []
    for layer in range(3):
        kernel, bias = next(parameters), next(parameters)
        x = x @ kernel + bias
        if layer == 2:
            return x, found
        if kind == "batch" and fixed is not None:
            mean, variance = fixed[layer]
            gamma, beta = next(parameters), next(parameters)
            x = (x - mean) * (variance + EPSILON) ** -0.5 * gamma + beta
        elif kind != "none":
            gamma, beta = next(parameters), next(parameters)
            x, statistics = normalise(kind, x, gamma, beta, ghost_size)
            found.append(statistics)
        x = relu(x)


def look_at(answer, kind, running, population):
    """{(part, statistics): accuracy [rates, seeds]}.

    answer: (examples [seeds, ...], statistics) -> classes [copies * seeds,
        examples], for the statistics that evaluation may normalise with.
    """
    modes = {"running": running}
    if kind == "batch":
        modes |= {"population": population, "training": None}
    found = {}
    for mode, fixed in modes.items():
        right = answer(x_test, fixed).reshape(-1, *y_test.shape) == y_test
        found["test", mode] = right.mean(axis=2)
    chosen = answer(x_validation, running).reshape(-1, *y_validation.shape)
    found["validation", "running"] = (chosen == y_validation).mean(axis=2)
    return found


# %% [markdown]
# ## Which gradients to compare
#
# The gradient of one batch at once, and the mean of the gradients of its
# micro-batches. In float64, where rounding is far below any real difference.


# %%
def compare_gradients(gradients):
    """{(kind, micro-batch size): relative difference of each seed}.

    gradients: (kind, micro-batch size) -> [seeds, weights], accumulated.
    """
    found = {}
    for kind in KINDS:
        whole = gradients(kind, GRADIENT_BATCH_SIZE)
        for size in MICRO_BATCH_SIZES:
            difference = gradients(kind, size) - whole
            lengths = np.linalg.norm([difference, whole], axis=2)
            found[kind, size] = lengths[0] / lengths[1]
    return found


# %% [markdown]
# ## How to time an update
#
# Sizes take turns, and the first round is discarded.


# %%
def take_turns(time_epoch):
    """Updates of an epoch, and seconds of an update in each repeat, by size.

    time_epoch: batch size -> (updates of an epoch, seconds, updates timed).
    """
    sizes = sorted({*BATCH_SIZES, GRADIENT_BATCH_SIZE})
    updates_per_epoch, seconds = {}, {size: [] for size in sizes}
    for _ in range(TIMED_REPEATS + 1):
        for size in sizes:
            updates_per_epoch[size], spent, made = time_epoch(size)
            seconds[size].append(spent / made)
    print("updates per epoch:", updates_per_epoch)
    return updates_per_epoch, {
        size: np.array(spent[1:]) for size, spent in seconds.items()
    }


# %% [markdown]
# ## Which runs to make
#
# All seeds and rates of a configuration are trained at once. First the batch
# of the gradient is fixed, then both batches are the same. A configuration is
# looked at when each budget ends: equal epochs, equal updates, equal seconds.


# %%
def looks_of(size, updates_per_epoch, update_seconds):
    """{budget: number of updates} for a batch size."""
    seconds = update_seconds[size] / update_seconds[GRADIENT_BATCH_SIZE]
    return {
        "epochs": NUM_EPOCHS * updates_per_epoch[size],
        "updates": NUM_UPDATES,
        "seconds": max(1, round(NUM_TIMES / np.median(seconds))),
    }


def train_all(train, updates_per_epoch, update_seconds):
    """What the looks found: by (kind, ghost size), by (budget, kind, size).

    train: (kind, batch size, ghost size, powers of the rates, looks) ->
        {number of updates: {(part, statistics): accuracy [rates, seeds]}}.
    """
    fixed, free = {}, {}
    last = GHOST_EPOCHS * updates_per_epoch[GRADIENT_BATCH_SIZE]
    for kind in KINDS:
        for size in GHOST_SIZES if kind == "batch" else [GRADIENT_BATCH_SIZE]:
            powers = GHOST_RATE_POWERS[size]
            history = train(kind, GRADIENT_BATCH_SIZE, size, powers, {last})
            fixed[kind, size] = history[last]
        for size in BATCH_SIZES:
            looks = looks_of(size, updates_per_epoch, update_seconds)
            powers = RATE_POWERS[size]
            history = train(kind, size, size, powers, set(looks.values()))
            for budget, update in looks.items():
                free[budget, kind, size] = history[update]
        print("trained:", kind)
    return fixed, free
