# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from sklearn.datasets import make_classification

from snippets.count_updates import count_updates
from snippets.measure_input_share import measure_input_share
from snippets.stack_data_sets import stack_data_sets

SHORT = False

NUM_TRAIN = 500
NUM_VALIDATION = 100
# So many validation sets of that size; most people have one.
VALIDATION_SETS = 8
NUM_TEST = 1000
NUM_FEATURES = 20
NUM_INFORMATIVE = 10
NUM_CLASSES = 4
# Share of the labels that are drawn anew.
FLIPPED = 0.05
HIDDEN_UNITS = 32

SMALL = 16
LARGE = 128
# Of the small size, for SGD with momentum; it takes more in the race.
RATE = 0.005
MOMENTUM = 0.9
NUM_EPOCHS = 2 if SHORT else 20
# A data set, initial weights and an order of examples for each.
NUM_SEEDS = 10 if SHORT else 32
# As many for the two sizes that differ by little.
RACE_SEEDS = 10 if SHORT else 64
FIRST_SEED = 3000

# Of the calculation, in examples.
OLD_SIZE = 32
NEW_SIZE = 1024

# Of the race to a training loss, with rates from a grid for each size.
TARGET_LOSS = 1.3 if SHORT else 0.6
TARGET_RATES = {
    16: [0.01, 0.02, 0.04, 0.08],
    64: [0.04, 0.08, 0.16, 0.32],
    500: [0.16, 0.32, 0.64, 1.28],
}
TARGET_EPOCHS = {16: 12, 64: 14, 500: 40}
TARGET_SEEDS = 10 if SHORT else 12
# A size whose examples to the target grow beyond this factor wastes them.
MOST_EXAMPLES = 2.0

# What fits into the memory, in examples; of the two about memory.
LIMIT = 1000

# Each size has so many epochs where one model goes from size to size.
REUSED_EPOCHS = 1 if SHORT else 5

# Of the one about the last batch, which has 4 examples.
LAST_EPOCHS = 10 if SHORT else 30

# The rate falls to a tenth after this share of the updates.
DECAY_SHARE = 0.75
DECAY_FACTOR = 0.1

NUM_TIMED = 3
# The stand-in for a device takes so many seconds for what it is given.
DEVICE_SECONDS = 0.05
# The slow loader takes so many seconds for an example.
LOADER_SECONDS = 0.001
TIMED_BLOCKS = 10

# A size that is near to the small one, at the same rate.
NEAR = 24

# A noisy curve of the validation accuracy: small batches, a large rate.
NOISY_SIZE = 4
NOISY_RATE = 0.02

# The popular example: so many rows of noise with labels of noise.
RANDOM_ROWS = 1000
RANDOM_TEST = 2000
RANDOM_FEATURES = 10
RANDOM_SIZES = [8, 32, 256]
RANDOM_RATE = 0.02
RANDOM_EPOCHS = 2 if SHORT else 10

# %% [markdown]
# ## Data
#
# Each seed has a data set of its own, so that an interval holds for another
# one as well. The popular example has labels that nothing says anything of.

# %%
race_seeds = range(FIRST_SEED, FIRST_SEED + RACE_SEEDS)
seeds = race_seeds[:NUM_SEEDS]
validations = [f"validation{number}" for number in range(VALIDATION_SETS)]
split = [NUM_TRAIN, NUM_TEST, *[NUM_VALIDATION] * VALIDATION_SETS]


def draw_data(seed):
    return make_classification(
        sum(split),
        n_features=NUM_FEATURES,
        n_informative=NUM_INFORMATIVE,
        n_classes=NUM_CLASSES,
        flip_y=FLIPPED,
        random_state=seed,
    )


# --8<-- [start:random_labels]
def random_labels(rows, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, RANDOM_FEATURES))
    # Nothing in x says what y is: there is nothing to learn, only to store.
    return x, random.integers(2, size=rows)


# --8<-- [end:random_labels]
# --8<-- [start:labels_to_learn]
def labels_to_learn(rows, seed):
    return make_classification(
        rows, n_features=RANDOM_FEATURES, random_state=seed
    )


# --8<-- [end:labels_to_learn]
# {part: (x [seeds, examples, features], y [seeds, examples])}.
whole = dict(
    zip(
        ["train", "test", *validations],
        stack_data_sets(draw_data, race_seeds, split),
    )
)
data = {name: whole[name] for name in ("train", "test")}
# What the plain runs train on.
x_one, y_one = (each[0] for each in data["train"])

# %% [markdown]
# ## Train all seeds at once
#
# Intervals come from here: every seed trains at the same time, on its own
# data. Several rates train at once as well.

# %%
sizes = {SMALL, LARGE, *TARGET_RATES}
updates_per_epoch = {size: count_updates(NUM_TRAIN, size) for size in sizes}
num_updates = updates_per_epoch[SMALL] * NUM_EPOCHS
linear = LARGE / SMALL


def train_all(
    train_rates, batch_size, rates, looks, *, data=data, seeds=seeds, **options
):
    """{part: {"loss", "accuracy"}}, each [looks, rates, seeds].

    train_rates: (seeds, numbers of features and classes, rates, x, y, phases,
        looks, check, options) -> the same, each [looks, networks].
    """
    count, rows = len(rates), len(seeds)
    x, y = data["train"]
    repeated = {
        name: (np.tile(x[:rows], (count, 1, 1)), np.tile(y[:rows], (count, 1)))
        for name, (x, y) in data.items()
    }
    phases = options.pop("phases", [(looks[-1], batch_size, 1.0)])
    history = train_rates(
        [*seeds] * count,
        (x.shape[-1], int(y.max()) + 1),
        [rate for rate in rates for _ in seeds],
        *repeated["train"],
        phases,
        looks,
        repeated,
        seed=FIRST_SEED + batch_size,
        momentum=MOMENTUM,
        **options,
    )
    return {
        name: {
            key: found.reshape(-1, count, rows) for key, found in part.items()
        }
        for name, part in history.items()
    }


# %% [markdown]
# ## Which runs to make
#
# One size for all epochs, the other at three rates, and for as many updates;
# one model that goes from size to size; two near sizes, and one of them again
# with other initial weights and another order; a noisy and a quiet curve; and
# the popular example.


# %%
def looks_of(batch_size):
    """After a few epochs, and at the end."""
    per_epoch = updates_per_epoch[batch_size]
    return [REUSED_EPOCHS * per_epoch, NUM_EPOCHS * per_epoch]


def run_all(train):
    """{name: {part: {"loss", "accuracy"}}}; train: see `train_all`."""
    rates = [RATE, RATE * math.sqrt(linear), RATE * linear]
    runs = {
        "small": train(SMALL, [RATE], looks_of(SMALL), seeds=race_seeds),
        "large": train(LARGE, rates, looks_of(LARGE)),
        "longer": train(LARGE, [RATE], [num_updates]),
    }
    for name, size, first in (("again", SMALL, 500), ("near", NEAR, 1000)):
        others = range(FIRST_SEED + first, FIRST_SEED + first + RACE_SEEDS)
        looks = [count_updates(NUM_TRAIN, size, NUM_EPOCHS)]
        runs[name] = train(size, [RATE], looks, seeds=others)
    for order in ((SMALL, LARGE), (LARGE, SMALL)):
        phases = [
            (updates_per_epoch[size] * REUSED_EPOCHS, size, size / SMALL)
            for size in order
        ]
        looks = [0, phases[0][0], phases[0][0] + phases[1][0]]
        runs[f"{order[0]}_first"] = train(
            order[0], [RATE], looks, phases=phases
        )
    # The large size with its linear rate has a quiet curve.
    for name, size, rate in (
        ("noisy", NOISY_SIZE, NOISY_RATE),
        ("quiet", LARGE, RATE * linear),
    ):
        looks = np.arange(1, NUM_EPOCHS + 1) * count_updates(NUM_TRAIN, size)
        runs[name] = train(size, [rate], looks.tolist(), data=whole)
    for make, sizes in (
        (random_labels, RANDOM_SIZES),
        (labels_to_learn, RANDOM_SIZES[::2]),
    ):
        draw = partial(make, RANDOM_ROWS + RANDOM_TEST)
        parts = stack_data_sets(draw, seeds, [RANDOM_ROWS, RANDOM_TEST])
        made = dict(zip(["train", "test"], parts))
        for size in sizes:
            looks = [count_updates(RANDOM_ROWS, size, RANDOM_EPOCHS)]
            name = f"{make.__name__}.{size}"
            runs[name] = train(size, [RANDOM_RATE], looks, data=made)
    return runs


def race_to_target(train):
    """{batch size: epochs to the training loss [rates, seeds]}."""

    def reached(history):
        """Whether every seed is there with one of the rates at least."""
        losses = np.reshape(history["train"]["loss"], (-1, TARGET_SEEDS))
        return bool((losses < TARGET_LOSS).any(axis=0).all())

    epochs = {}
    for size, rates in TARGET_RATES.items():
        most = TARGET_EPOCHS[size]
        looks = np.arange(1, most + 1) * updates_per_epoch[size]
        run = train(
            size,
            rates,
            looks.tolist(),
            data={"train": data["train"]},
            seeds=seeds[:TARGET_SEEDS],
            stop=reached,
        )
        below = run["train"]["loss"] < TARGET_LOSS
        epochs[size] = below.argmax(axis=0) + 1.0
        # Who never got there counts as all epochs and one more.
        epochs[size][~below.any(axis=0)] = most + 1
        print(size, "epochs by rate:", epochs[size].mean(axis=1))
    return epochs


def best_rates(race):
    """{batch size: the rate of its grid that needed the fewest epochs}."""
    return {
        size: TARGET_RATES[size][epochs.mean(axis=1).argmin()]
        for size, epochs in race.items()
    }


# %% [markdown]
# ## Give a schedule in the wrong unit
#
# The milestone of one size may be given to another, and a share of the epochs
# to what counts updates.


# %%
# --8<-- [start:milestone_by_share]
def milestone_by_share(batch_size):
    """The update after which the rate falls, for a run of this size."""
    return int(DECAY_SHARE * count_updates(NUM_TRAIN, batch_size, NUM_EPOCHS))


# --8<-- [end:milestone_by_share]
milestones = {
    "small": (SMALL, milestone_by_share(SMALL)),
    "large": (LARGE, milestone_by_share(SMALL)),
    "mended": (LARGE, milestone_by_share(LARGE)),
    "epochs": (SMALL, int(DECAY_SHARE * NUM_EPOCHS)),
}

# %% [markdown]
# ## Do not wait for the device
#
# A thread stands in for a device that takes work and returns at once.

# %%
device = ThreadPoolExecutor(max_workers=1)


# --8<-- [start:forget_to_wait]
def forget_to_wait(work):
    start = time.perf_counter()
    device.submit(work)
    # The device has only been told; it has not done it.
    return time.perf_counter() - start


# --8<-- [end:forget_to_wait]
# --8<-- [start:wait_for_the_device]
def wait_for_the_device(work):
    # If work was left over, wait for it here as well.
    start = time.perf_counter()
    done = device.submit(work)
    # On a GPU this line is torch.cuda.synchronize(), or in Keras
    # keras.ops.convert_to_numpy(loss), which reads a result.
    done.result()
    return time.perf_counter() - start


# --8<-- [end:wait_for_the_device]
# %% [markdown]
# ## Blame the batch when the input is the limit
#
# The loader sleeps for each example, as one that unpacks images would.


# %%
# --8<-- [start:blame_the_batch]
class SlowLoader:
    def __init__(self, batch_size):
        self.batch_size = batch_size

    def __iter__(self):
        for start in range(0, NUM_TRAIN - self.batch_size, self.batch_size):
            time.sleep(LOADER_SECONDS * self.batch_size)
            part = slice(start, start + self.batch_size)
            yield x_one[part], y_one[part]


def blame_the_batch(update, batch_size):
    """Examples per second of the loop, loader and update together."""
    loader, count = SlowLoader(batch_size), 0
    start = time.perf_counter()
    for batch in loader:
        update(batch)
        count += batch_size
    return count / (time.perf_counter() - start)


# --8<-- [end:blame_the_batch]
# --8<-- [start:time_a_ready_batch]
def time_a_ready_batch(update, batch_size):
    """The loop, and as many updates with a batch that lies in memory."""
    return measure_input_share(
        SlowLoader(batch_size),
        update,
        num_batches=1,
        num_ready=20,
        num_repeats=TIMED_BLOCKS,
        num_skipped=0,
    )


# --8<-- [end:time_a_ready_batch]
def time_clocks(update):
    """{"told", "waited": seconds; "shares": by batch size}; see the findings.

    update: trains on one batch (x, y).
    """
    clocks = {"told": [], "waited": []}
    for _ in range(TIMED_BLOCKS):
        told = forget_to_wait(lambda: time.sleep(DEVICE_SECONDS))
        # What was left over must not fall on the next.
        device.submit(int).result()
        waited = wait_for_the_device(lambda: time.sleep(DEVICE_SECONDS))
        clocks["told"].append(told)
        clocks["waited"].append(waited)
    print("examples per second:", blame_the_batch(update, LARGE))
    sizes = (SMALL, LARGE)
    shares = {size: time_a_ready_batch(update, size) for size in sizes}
    return clocks | {"shares": shares}
