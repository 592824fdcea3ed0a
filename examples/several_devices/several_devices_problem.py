# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import numpy as np
from mnist1d.data import get_dataset_args, make_dataset

from snippets.shard_global_batch import shard_global_batch

SHORT = False

NUM_DEVICES = 2
# Seconds for everything that the two processes do.
TIME_LIMIT = 300
NUM_TRAIN = 1024
NUM_VALIDATION = 512
NUM_TEST = 1024
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 64
EPSILON = 1e-5

# Examples of one device in an update, where nothing else is said.
DEVICE_BATCH_SIZE = 32
GLOBAL_BATCH_SIZE = NUM_DEVICES * DEVICE_BATCH_SIZE
# Where gradients are accumulated, the most examples of one forward pass.
MICRO_BATCH_SIZE = 16
# Updates after which the weights are compared.
EQUAL_UPDATES = 20
# The first device has DEVICE_BATCH_SIZE examples, the second these.
SECOND_SHARES = [0, 1, 2, 4, 8, 16]
# Examples of one device, with batch normalisation.
NORMALISED_SIZES = [4, 8, 16, 32, 64]
# Examples of an epoch that do not fill the last global batch of EPOCH_BATCH.
EPOCH_SIZES = [97, 101]
EPOCH_BATCH = 16

MOMENTUM = 0.9
# Learning rates are two to the power of these.
RATE_POWERS = [-10, -9, -8, -7, -6, -5, -4, -3, -2, -1]
# A rate far below the best one, as such a power.
SLOW_POWER = -7
NUM_EPOCHS = 1 if SHORT else 10
# As many as one device makes in all its epochs, and between two looks.
NUM_UPDATES = NUM_EPOCHS * NUM_TRAIN // DEVICE_BATCH_SIZE
LOOK = 4 if SHORT else 16

# A larger network, whose updates are timed; examples of one device.
TIMED_SIZES = [8, 32, 128, 512, 2048]
TIMED_UNITS = 256
TIMED_UPDATES = 4
TIMED_REPEATS = 2 if SHORT else 20

NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 1000

# %% [markdown]
# ## Data
#
# MNIST-1D: drawn signals of ten kinds. Each seed has data of its own, so that
# an interval holds for another data set as well.


# %%
def draw_signals(seed):
    """Inputs, then labels, to train, to validate and to test."""
    parts = [NUM_TRAIN, NUM_VALIDATION, NUM_TEST]
    arguments = get_dataset_args()
    # As many of each kind, so a few may be too many; they are left out. The
    # package keeps back one example at least, which is put in its place.
    arguments.num_samples = sum(parts) + NUM_CLASSES
    arguments.train_split = 1 - 1e-9
    arguments.seed = seed
    drawn = make_dataset(arguments)
    signals, labels = (
        np.split(
            np.concatenate([drawn[key], drawn[f"{key}_test"]]).astype(kind),
            np.cumsum(parts),
        )
        for key, kind in (("x", "float32"), ("y", "int64"))
    )
    return [*signals[:3], *labels[:3]]


seeds = list(range(FIRST_SEED, FIRST_SEED + NUM_SEEDS))
# [seeds, examples, features] and [seeds, examples].
x_train, x_validation, x_test, y_train, y_validation, y_test = (
    np.stack(each) for each in zip(*map(draw_signals, seeds))
)

# %% [markdown]
# ## What the two processes compute together
#
# Each case says how a global batch is shared, and what the devices do with
# it. In float64, where rounding is far below any real difference. With a
# learning rate of one and no momentum, the change of the weights in one update
# is the gradient.


# %%
def make_cases():
    """{name: (normalise, rule, ranges for each device, updates)}."""
    even = shard_global_batch(GLOBAL_BATCH_SIZE, NUM_DEVICES, DEVICE_BATCH_SIZE)
    parts = shard_global_batch(GLOBAL_BATCH_SIZE, NUM_DEVICES, MICRO_BATCH_SIZE)
    even, parts = even["ranges"], parts["ranges"]
    cases = {
        "even": (None, "weighted", even, 1),
        "means": (None, "means", even, 1),
        "accumulated": (None, "weighted", parts, 1),
        "updates": (None, "weighted", even, EQUAL_UPDATES),
    }
    for share in SECOND_SHARES:
        first = (0, DEVICE_BATCH_SIZE)
        uneven = [[first], [(first[1], first[1] + share)]]
        cases[f"uneven_means.{share}"] = (None, "means", uneven, 1)
        cases[f"uneven_weighted.{share}"] = (None, "weighted", uneven, 1)
    for size in NORMALISED_SIZES:
        ranges = [[(0, size)], [(size, 2 * size)]]
        for normalise in ("local", "shared"):
            case = (normalise, "weighted", ranges, 1)
            cases[f"normalised_{normalise}.{size}"] = case
    return cases


def batch_of(number, row, start, stop):
    """Examples start to stop of global batch number, in the data's order."""
    offset = number * GLOBAL_BATCH_SIZE
    chosen = np.arange(offset + start, offset + stop) % NUM_TRAIN
    return x_train[row, chosen].astype("float64"), y_train[row, chosen]


def run_cases(make_run, process=None):
    """{case: weights before and after, [2, seeds, weights]}.

    make_run: (normalise, rule, forward passes of an update, updates) -> what
        can start(row of a seed), update(batches, global batch size) and tell
        its weights().
    process: of those that share a batch; None for one that has all of it.
    """
    found = {}
    for name, (normalise, rule, ranges, updates) in make_cases().items():
        size = ranges[-1][-1][1]
        mine = ranges[process] if process is not None else [(0, size)]
        if process is None:
            normalise, rule = normalise and "local", "means"
        run = make_run(normalise, rule, len(mine), updates)
        rows = []
        for row in range(NUM_SEEDS):
            run.start(row)
            before = run.weights()
            for number in range(updates):
                batches = [batch_of(number, row, *part) for part in mine]
                run.update(batches, size)
            rows.append([before, run.weights()])
        found[name] = np.swapaxes(rows, 0, 1)
    return found


# %% [markdown]
# ## Time an update
#
# The exchange of the gradients alone; an update with it; and the same update
# without it. Sizes take turns, and the first round is discarded. By the clock,
# since a process that waits uses no processor time.


# %%
def timed_batch(size):
    random = np.random.default_rng(FIRST_SEED)
    x = random.normal(size=(size, NUM_FEATURES)).astype("float32")
    return x, random.integers(NUM_CLASSES, size=size)


def take_turns(timed):
    """Seconds of an update [repeats] by (what, examples of one device).

    timed: (what, examples) -> seconds of TIMED_UPDATES.
    """
    seconds = {}
    for _ in range(TIMED_REPEATS + 1):
        for size in TIMED_SIZES:
            for what in ("exchange", "update", "local"):
                found = timed(what, size) / TIMED_UPDATES
                seconds.setdefault((what, size), []).append(found)
    return {case: np.array(found[1:]) for case, found in seconds.items()}


# %% [markdown]
# ## What the usual tools do
#
# Which examples a device gets in an epoch, if the last batch is kept or
# dropped; and what does not run on two processes.


# %%
def share_epochs(share):
    """{(examples, whether the rest is dropped): batches of one device}."""
    return {
        (size, drop): share(size, drop)
        for size in EPOCH_SIZES
        for drop in (False, True)
    }


def refusals_of(actions, *arguments):
    """{name of the action: the error that it raises; "" if it runs}."""
    refusals = {}
    for action in actions:
        refusals[action.__name__] = ""
        try:
            action(*arguments)
        except (ValueError, RuntimeError) as error:
            refusals[action.__name__] = f"{type(error).__name__}: {error}"
    return refusals


# %% [markdown]
# ## Compare the processes
#
# How the weights change on the first device is compared with one process.


# %%
def compare_processes(together, alone):
    """The arguments of the findings, but for the accuracy.

    together: for each process a dict of cases, epochs, times and refusals.
    """
    first, second = (each["cases"] for each in together)
    differences, apart = {}, 0.0
    for case, (before, after) in alone.items():
        apart = max(apart, np.abs(first[case] - second[case]).max())
        lengths = np.linalg.norm(first[case][1] - after, axis=1)
        differences[case] = lengths / np.linalg.norm(after - before, axis=1)
    print("refused:", together[0]["refusals"])
    return {
        "differences": differences,
        "apart": float(apart),
        "epochs": [each["epochs"] for each in together],
        "times": together[0]["times"],
        "refusals": together[0]["refusals"],
    }


# %% [markdown]
# ## Train with many rates
#
# In one process, with the batch of one device and with that of two: two make
# the same updates from it, as the cases show. All seeds and rates at once.


# %%
def train_rates(train):
    """Accuracy [looks, rates, seeds] by (batch size, "validation" or "test").

    train: (rates, data, batch size, looks, what to look at) -> history of the
        networks of all seeds, once for each rate.
    """

    def for_each_rate(*arrays):
        return [np.concatenate([each] * len(RATE_POWERS)) for each in arrays]

    rates = np.repeat(2.0 ** np.array(RATE_POWERS), NUM_SEEDS).tolist()
    looks = list(range(LOOK, NUM_UPDATES + 1, LOOK))
    data = for_each_rate(x_train, y_train)
    check = {
        "validation": for_each_rate(x_validation, y_validation),
        "test": for_each_rate(x_test, y_test),
    }
    accuracy = {}
    for batch_size in (DEVICE_BATCH_SIZE, GLOBAL_BATCH_SIZE):
        history = train(rates, data, batch_size, looks, check)
        for part, found in history.items():
            shape = (-1, len(RATE_POWERS), NUM_SEEDS)
            accuracy[batch_size, part] = found["accuracy"].reshape(shape)
    return accuracy
