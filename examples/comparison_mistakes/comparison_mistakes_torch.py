# %% [markdown]
# # Mistakes in choosing and comparing batch sizes (PyTorch)
#
# Fifteen mistakes: for each a short run that fails, and one that does not.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from sklearn.datasets import make_classification
from torch import nn

from snippets.count_updates import count_updates
from snippets.find_largest_batch import find_largest_batch
from snippets.mean_interval import mean_interval
from snippets.measure_input_share import measure_input_share
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
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
# "No difference" is less than this, in percentage points. Set beforehand.
MARGIN_POINTS = 2.0

# Of the calculation, in examples.
OLD_SIZE = 32
NEW_SIZE = 1024

# Of the race to a training loss, with rates from a grid for each size.
TARGET_LOSS = 1.3 if SHORT else 0.6
TARGET_SIZES = [16, 64, 500]
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
# Test accuracy is called chance within so many points of one half.
CHANCE_POINTS = 1.5

# %% [markdown]
# ## Data and network
#
# Each seed has a data set of its own, so that an interval holds for another
# one as well.

# %%
race_seeds = range(FIRST_SEED, FIRST_SEED + RACE_SEEDS)
seeds = race_seeds[:NUM_SEEDS]
validations = [f"validation{number}" for number in range(VALIDATION_SETS)]
parts = [NUM_TRAIN, NUM_TEST, *[NUM_VALIDATION] * VALIDATION_SETS]


def draw_data(seed):
    x, y = make_classification(
        sum(parts),
        n_features=NUM_FEATURES,
        n_informative=NUM_INFORMATIVE,
        n_classes=NUM_CLASSES,
        flip_y=FLIPPED,
        random_state=seed,
    )
    return x.astype("float32"), y


drawn = [draw_data(seed) for seed in race_seeds]
# [seeds, examples, features] and [seeds, examples].
xs = torch.tensor(np.stack([x for x, _ in drawn])).split(parts, dim=1)
ys = torch.tensor(np.stack([y for _, y in drawn])).split(parts, dim=1)
names = ["train", "test", *validations]
whole = {name: (x, y) for name, x, y in zip(names, xs, ys)}
data = {name: whole[name] for name in ("train", "test")}
# What the plain runs train on.
x_one, y_one = xs[0][0], ys[0][0]


def build_model(seed, num_features=NUM_FEATURES, num_classes=NUM_CLASSES):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(num_features, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, num_classes),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


# %% [markdown]
# ## Plain training
#
# What the short runs call: one network, one data set.


# %%
# --8<-- [start:fit]
def fit(model, optimizer, batch_size, num_epochs):
    """Train; the loss over all training examples afterwards."""
    for _ in range(num_epochs):
        for batch in torch.randperm(len(x_one)).split(batch_size):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(
                model(x_one[batch]), y_one[batch]
            )
            loss.backward()
            optimizer.step()
    return loss_of(model)


def loss_of(model):
    with torch.no_grad():
        return nn.functional.cross_entropy(model(x_one), y_one).item()


# --8<-- [end:fit]
torch.manual_seed(FIRST_SEED)

# %% [markdown]
# ## The same for all seeds at once
#
# Intervals come from here: every seed trains at the same time, on its own
# data. Several rates train at once as well.


# %%
def train_all(
    batch_size,
    rates,
    looks,
    data=data,
    seeds=seeds,
    phases=None,
    stop=None,
):
    """{part: {"loss", "accuracy"}}, each [looks, rates, seeds]."""
    count, rows = len(rates), len(seeds)
    features = data["train"][0].shape[-1]
    classes = int(data["train"][1].max()) + 1
    repeated = {
        name: (x[:rows].repeat(count, 1, 1), y[:rows].repeat(count, 1))
        for name, (x, y) in data.items()
    }
    history = train_rates_torch(
        [build_model(s, features, classes) for _ in rates for s in seeds],
        [rate for rate in rates for _ in seeds],
        *repeated["train"],
        phases or [(looks[-1], batch_size, 1.0)],
        looks,
        repeated,
        seed=FIRST_SEED + batch_size,
        momentum=MOMENTUM,
        stop=stop,
    )
    return {
        name: {
            key: found.reshape(-1, count, rows) for key, found in part.items()
        }
        for name, part in history.items()
    }


updates_per_epoch = {
    size: count_updates(NUM_TRAIN, size)
    for size in sorted({SMALL, LARGE, *TARGET_SIZES})
}
epochs = np.arange(1, NUM_EPOCHS + 1)
linear = LARGE / SMALL
root = math.sqrt(linear)

# %% [markdown]
# ## Keep the learning rate


# %%
# --8<-- [start:keep_the_rate]
def keep_the_rate(batch_size):
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    return fit(model, optimizer, batch_size, NUM_EPOCHS)


# --8<-- [end:keep_the_rate]
# --8<-- [start:scale_the_rate]
def scale_the_rate(batch_size):
    model = build_model(FIRST_SEED)
    # A first guess for SGD and momentum; for Adam, take the factor's root.
    rate = RATE * batch_size / SMALL
    optimizer = torch.optim.SGD(model.parameters(), rate, MOMENTUM)
    return fit(model, optimizer, batch_size, NUM_EPOCHS)


# --8<-- [end:scale_the_rate]
print("training loss, one rate:", keep_the_rate(SMALL), keep_the_rate(LARGE))
print("training loss, scaled:", scale_the_rate(LARGE))


def looks_of(batch_size):
    """After a few epochs, and at the end."""
    per_epoch = updates_per_epoch[batch_size]
    return [REUSED_EPOCHS * per_epoch, NUM_EPOCHS * per_epoch]


small = train_all(SMALL, [RATE], looks_of(SMALL), seeds=race_seeds)
large = train_all(LARGE, [RATE, RATE * root, RATE * linear], looks_of(LARGE))

# %% [markdown]
# ## Compare at equal epochs and call it generalisation


# %%
# --8<-- [start:equal_epochs]
def equal_epochs(batch_size):
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    return fit(model, optimizer, batch_size, NUM_EPOCHS)


# --8<-- [end:equal_epochs]
# --8<-- [start:equal_updates]
def equal_updates(batch_size, num_updates):
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    num_epochs = round(num_updates / count_updates(NUM_TRAIN, batch_size))
    return fit(model, optimizer, batch_size, num_epochs)


# --8<-- [end:equal_updates]
num_updates = updates_per_epoch[SMALL] * NUM_EPOCHS
print("training loss, equal epochs:", equal_epochs(LARGE))
few = updates_per_epoch[LARGE] * NUM_EPOCHS
print("training loss,", few, "updates:", equal_updates(SMALL, few))

longer = train_all(LARGE, [RATE], [num_updates])

# %% [markdown]
# ## Call the square root the linear rule
#
# A calculation.


# %%
# --8<-- [start:root_called_linear]
def root_called_linear(learning_rate, old_size, new_size):
    """The 'linear scaling rule' as a popular lesson has it."""
    return learning_rate * math.sqrt(new_size / old_size)


# --8<-- [end:root_called_linear]
# --8<-- [start:scale_by_rule]
def scale_by_rule(learning_rate, old_size, new_size, optimizer):
    """A first guess: the linear rule, or the square root for Adam.

    optimizer: a name in small letters, such as "sgd" or "adamw".
    """
    factor = new_size / old_size
    return learning_rate * (
        math.sqrt(factor) if "adam" in optimizer else factor
    )


# --8<-- [end:scale_by_rule]
factors = {
    "root": root_called_linear(1.0, OLD_SIZE, NEW_SIZE),
    "linear": scale_by_rule(1.0, OLD_SIZE, NEW_SIZE, "sgd"),
}
print("the rate is multiplied by", factors)

# %% [markdown]
# ## Believe that the largest is the quickest


# %%
# --8<-- [start:largest_is_quickest]
def largest_is_quickest(sizes):
    """It has the fewest updates in an epoch, so it must be."""
    return max(sizes)


# --8<-- [end:largest_is_quickest]
# --8<-- [start:time_to_target]
def time_to_target(batch_size, learning_rate):
    """(epochs, seconds) until the training loss is below the target."""
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), learning_rate, MOMENTUM)
    start, num_epochs, loss = time.perf_counter(), 0, math.inf
    # A rate that never gets there ends here as well.
    while loss > TARGET_LOSS and num_epochs < TARGET_EPOCHS[batch_size]:
        loss = fit(model, optimizer, batch_size, num_epochs=1)
        num_epochs += 1
    return num_epochs, time.perf_counter() - start


# --8<-- [end:time_to_target]
print("believed to be quickest:", largest_is_quickest(TARGET_SIZES))


def reached(history):
    """Whether every seed is there with one of the rates at least."""
    losses = np.array(history["train"]["loss"]).reshape(
        -1, len(TARGET_RATES[SMALL]), TARGET_SEEDS
    )
    return bool((losses < TARGET_LOSS).any(axis=0).all())


train_only = {"train": data["train"]}
epochs_by_rate = {}
for size in TARGET_SIZES:
    looks = np.arange(1, TARGET_EPOCHS[size] + 1) * updates_per_epoch[size]
    losses = train_all(
        size,
        TARGET_RATES[size],
        looks.tolist(),
        data=train_only,
        seeds=seeds[:TARGET_SEEDS],
        stop=reached,
    )["train"]["loss"]
    below = losses < TARGET_LOSS
    first = below.argmax(axis=0) + 1.0
    # [rates, seeds]; who never got there counts as all epochs and one more.
    first[~below.any(axis=0)] = TARGET_EPOCHS[size] + 1
    epochs_by_rate[size] = first
    print(size, "epochs to the target by rate:", first.mean(axis=1))
best_rate = {
    size: TARGET_RATES[size][first.mean(axis=1).argmin()]
    for size, first in epochs_by_rate.items()
}
epochs_to_target = {
    size: first[first.mean(axis=1).argmin()]
    for size, first in epochs_by_rate.items()
}
for size in TARGET_SIZES[::2]:
    print(size, "(epochs, seconds):", time_to_target(size, best_rate[size]))

# %% [markdown]
# ## Fill the memory because it is there
#
# A batch above the limit is refused, as a device would.


# %%
# --8<-- [start:fill_the_memory]
def try_batch(batch_size):
    if batch_size > LIMIT:
        raise MemoryError(f"{batch_size} examples do not fit")


def fill_the_memory():
    return find_largest_batch(try_batch, largest=NUM_TRAIN)


# --8<-- [end:fill_the_memory]
# --8<-- [start:stop_where_it_wastes]
def stop_where_it_wastes(epochs_to_target):
    """The largest size that needs few more examples to the target."""
    least = min(epochs_to_target.values())
    return max(
        size
        for size, epochs in epochs_to_target.items()
        if epochs <= MOST_EXAMPLES * least
    )


# --8<-- [end:stop_where_it_wastes]
filled = fill_the_memory()
kept = stop_where_it_wastes(
    {size: found.mean() for size, found in epochs_to_target.items()}
)
print("fits:", filled, "wastes little:", kept)

# %% [markdown]
# ## Force a power of two


# %%
# --8<-- [start:force_power_of_two]
def force_power_of_two(limit):
    return 2 ** int(math.log2(limit))


# --8<-- [end:force_power_of_two]
# --8<-- [start:keep_the_limit]
def keep_the_limit(limit, multiple_of=8):
    return limit // multiple_of * multiple_of


# --8<-- [end:keep_the_limit]
print("of", LIMIT, force_power_of_two(LIMIT), keep_the_limit(LIMIT))

# %% [markdown]
# ## Go from size to size with one model


# %%
# --8<-- [start:reuse_the_model]
def reuse_the_model(sizes):
    model = build_model(FIRST_SEED)
    losses = []
    for batch_size in sizes:
        rate = RATE * batch_size / SMALL
        optimizer = torch.optim.SGD(model.parameters(), rate, MOMENTUM)
        losses.append(fit(model, optimizer, batch_size, REUSED_EPOCHS))
    return losses


# --8<-- [end:reuse_the_model]
# --8<-- [start:build_anew]
def build_anew(sizes):
    losses = []
    for batch_size in sizes:
        # A new model and a new optimizer for each size.
        model = build_model(FIRST_SEED)
        rate = RATE * batch_size / SMALL
        optimizer = torch.optim.SGD(model.parameters(), rate, MOMENTUM)
        losses.append(fit(model, optimizer, batch_size, REUSED_EPOCHS))
    return losses


# --8<-- [end:build_anew]
print("training loss, one model:", reuse_the_model([SMALL, LARGE]))
print("training loss, built anew:", build_anew([SMALL, LARGE]))

reused = {}
for order in ((SMALL, LARGE), (LARGE, SMALL)):
    phases = [
        (updates_per_epoch[size] * REUSED_EPOCHS, size, size / SMALL)
        for size in order
    ]
    middle = phases[0][0]
    looks = [0, middle, middle + phases[1][0]]
    reused[order] = train_all(order[0], [RATE], looks, phases=phases)

# %% [markdown]
# ## Read the last batch's loss as the epoch's


# %%
# --8<-- [start:read_last_loss]
def read_last_loss(model, optimizer):
    for batch in torch.randperm(len(x_one)).split(SMALL):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x_one[batch]), y_one[batch])
        loss.backward()
        optimizer.step()
    return loss.item()


# --8<-- [end:read_last_loss]
# --8<-- [start:average_the_loss]
def average_the_loss(model, optimizer):
    """(mean over the examples, loss of the last batch)."""
    total = 0.0
    for batch in torch.randperm(len(x_one)).split(SMALL):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x_one[batch]), y_one[batch])
        loss.backward()
        optimizer.step()
        # The last batch is smaller, so it counts for less.
        total += loss.item() * len(batch)
    return total / len(x_one), loss.item()


# --8<-- [end:average_the_loss]
model = build_model(FIRST_SEED)
optimizer = torch.optim.SGD(model.parameters(), RATE)
print("the last batch's loss:", read_last_loss(model, optimizer))
epoch_losses = np.array(
    [average_the_loss(model, optimizer) for _ in range(LAST_EPOCHS)]
)

# %% [markdown]
# ## Give a schedule in the wrong unit
#
# The framework's own scheduler; no training. The rate at the end, as a share
# of the one at the start.


# %%
# --8<-- [start:fixed_milestone]
def fixed_milestone(batch_size, milestone):
    """The milestone was right for another batch size, or another unit."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [milestone], DECAY_FACTOR
    )
    rates = []
    for _ in range(count_updates(NUM_TRAIN, batch_size, NUM_EPOCHS)):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        # Once for each update: the milestone counts updates, not epochs.
        scheduler.step()
    return rates


# --8<-- [end:fixed_milestone]
# --8<-- [start:milestone_by_share]
def milestone_by_share(batch_size):
    updates = count_updates(NUM_TRAIN, batch_size, NUM_EPOCHS)
    return fixed_milestone(batch_size, int(DECAY_SHARE * updates))


# --8<-- [end:milestone_by_share]
milestone = int(DECAY_SHARE * num_updates)
rates = {
    "small": fixed_milestone(SMALL, milestone),
    "large": fixed_milestone(LARGE, milestone),
    "mended": milestone_by_share(LARGE),
    # Fifteen epochs, say, given to what counts updates.
    "epochs": fixed_milestone(SMALL, int(DECAY_SHARE * NUM_EPOCHS)),
}

# %% [markdown]
# ## Time what happens only once
#
# Processor time, on which other programs have little influence.


# %%
# --8<-- [start:time_first_update]
def one_batch():
    return x_one[:SMALL], y_one[:SMALL]


def plain_update(model, optimizer, x, y):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def time_first_update():
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    start = time.process_time()
    plain_update(model, optimizer, *one_batch())
    return time.process_time() - start


# --8<-- [end:time_first_update]
# --8<-- [start:time_later_updates]
def time_later_updates(num_updates=20):
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    # Not timed: it builds what the others use.
    plain_update(model, optimizer, *one_batch())
    start = time.process_time()
    for _ in range(num_updates):
        plain_update(model, optimizer, *one_batch())
    return (time.process_time() - start) / num_updates


# --8<-- [end:time_later_updates]
first_updates = [time_first_update() for _ in range(NUM_TIMED)]
later_update = time_later_updates()

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
    # On a GPU this line is torch.cuda.synchronize().
    done.result()
    return time.perf_counter() - start


# --8<-- [end:wait_for_the_device]
waits = []
for _ in range(TIMED_BLOCKS):
    told = forget_to_wait(lambda: time.sleep(DEVICE_SECONDS))
    # What was left over must not fall on the next.
    device.submit(int).result()
    waits.append(
        (told, wait_for_the_device(lambda: time.sleep(DEVICE_SECONDS)))
    )
waits = np.array(waits)
device.shutdown()

# %% [markdown]
# ## Trust one seed
#
# Two near sizes at one rate, and one of them again, with other initial weights
# and another order each time.

# %%
again_seeds = range(FIRST_SEED + 500, FIRST_SEED + 500 + RACE_SEEDS)
again = train_all(SMALL, [RATE], [num_updates], seeds=again_seeds)
near_seeds = range(FIRST_SEED + 1000, FIRST_SEED + 1000 + RACE_SEEDS)
near_updates = count_updates(NUM_TRAIN, NEAR, NUM_EPOCHS)
near = train_all(NEAR, [RATE], [near_updates], seeds=near_seeds)


# --8<-- [start:trust_one_seed]
def trust_one_seed(accuracy, other):
    """Which is better: 'first' or 'second'? One run of each settles it."""
    return "first" if accuracy[0] > other[0] else "second"


# --8<-- [end:trust_one_seed]
# --8<-- [start:compare_over_seeds]
def compare_over_seeds(accuracy, other):
    """(difference, low, high): settled where the interval leaves out 0."""
    return mean_interval(np.asarray(accuracy) - np.asarray(other))


# --8<-- [end:compare_over_seeds]
scores = [100 * run["test"]["accuracy"][-1, 0] for run in (small, near, again)]
print("one seed says:", trust_one_seed(scores[0], scores[1]))
print("all seeds say:", compare_over_seeds(scores[0], scores[1]))

# %% [markdown]
# ## Report the best point of a noisy curve


# %%
def curve(batch_size, learning_rate):
    """A look at every validation set after each epoch."""
    looks = epochs * count_updates(NUM_TRAIN, batch_size)
    return train_all(batch_size, [learning_rate], looks.tolist(), data=whole)


noisy = curve(NOISY_SIZE, NOISY_RATE)
# The large size with its linear rate has a quiet curve.
quiet = curve(LARGE, RATE * linear)


# --8<-- [start:report_the_best]
def report_the_best(validation_accuracy):
    return max(validation_accuracy)


# --8<-- [end:report_the_best]
# --8<-- [start:report_the_test]
def report_the_test(validation_accuracy, test_accuracy):
    """Choose the epoch on validation data; report it on test data."""
    return test_accuracy[np.argmax(validation_accuracy)]


# --8<-- [end:report_the_test]


def flattered_points(run):
    """How much better the best validation point looks than its test."""
    test = run["test"]["accuracy"][:, 0].T
    points = [
        report_the_best(validation) - report_the_test(validation, tested)
        for name in validations
        for validation, tested in zip(run[name]["accuracy"][:, 0].T, test)
    ]
    # The mean over the validation sets, for each seed.
    return 100 * np.reshape(points, (VALIDATION_SETS, -1)).mean(axis=0)


flattered = {
    NOISY_SIZE: flattered_points(noisy),
    LARGE: flattered_points(quiet),
}

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


def update(batch):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
    optimizer.step()


def blame_the_batch(batch_size):
    """Examples per second of the loop, loader and update together."""
    loader, count = SlowLoader(batch_size), 0
    start = time.perf_counter()
    for batch in loader:
        update(batch)
        count += batch_size
    return count / (time.perf_counter() - start)


# --8<-- [end:blame_the_batch]
# --8<-- [start:time_a_ready_batch]
def time_a_ready_batch(batch_size):
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
model = build_model(FIRST_SEED)
optimizer = torch.optim.SGD(model.parameters(), RATE)
shares = {size: time_a_ready_batch(size) for size in (SMALL, LARGE)}
print("examples per second:", blame_the_batch(SMALL), blame_the_batch(LARGE))

# %% [markdown]
# ## Compare sizes on random labels


# %%
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


def split_data(make):
    made = [make(RANDOM_ROWS + RANDOM_TEST, seed) for seed in seeds]
    x = torch.tensor(np.stack([x for x, _ in made])).float()
    y = torch.tensor(np.stack([y for _, y in made]))
    return {
        "train": (x[:, :RANDOM_ROWS], y[:, :RANDOM_ROWS]),
        "test": (x[:, RANDOM_ROWS:], y[:, RANDOM_ROWS:]),
    }


random_runs = {}
for make, sizes in (
    (random_labels, RANDOM_SIZES),
    (labels_to_learn, RANDOM_SIZES[::2]),
):
    made = split_data(make)
    for size in sizes:
        count = count_updates(RANDOM_ROWS, size, RANDOM_EPOCHS)
        random_runs[make.__name__, size] = train_all(
            size, [RANDOM_RATE], [count], data=made
        )

# %% [markdown]
# ## Measure
#
# Differences are paired by seed, that is by data set.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def put_exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


def put_share(key, happened, unit):
    """Store how often something happened, with Wilson's interval."""
    n, share, z = len(happened), float(np.mean(happened)), 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    half /= 1 + z**2 / n
    values[key] = {"value": share, "ci": [middle - half, middle + half]}
    values[key] |= {"n": n, "unit": unit} | FEW


def percent(run, part, look=-1, rate=0):
    return 100 * run[part]["accuracy"][look, rate].astype(float)


def of_small(look):
    return percent(small, "test", look)[:NUM_SEEDS]


def points_behind(run, rate=0):
    return of_small(-1) - percent(run, "test", rate=rate)


def loss_ratio(run, rate=0):
    ratio = run["train"]["loss"][-1, rate]
    ratio = ratio / small["train"]["loss"][-1, 0, :NUM_SEEDS]
    return ratio.astype(float)


for size, count in updates_per_epoch.items():
    put_exact(f"updates_per_epoch.{size}", count, "updates")
for size in (SMALL, LARGE):
    count = updates_per_epoch[size] * NUM_EPOCHS
    put_exact(f"updates.{size}", count, "updates")
put_exact(
    "epochs_for_equal_updates",
    num_updates / updates_per_epoch[LARGE],
    "epochs",
)
# The large size against the small one.
POINTS = "percentage points"
for name, rate in (("one_rate", 0), ("root", 1), ("linear", 2)):
    put(f"points_behind.{name}", points_behind(large, rate), POINTS)
    put(f"loss_ratio.{name}", loss_ratio(large, rate), "ratio", ratio=True)
put("points_behind.equal_updates", points_behind(longer), POINTS)
put("loss_ratio.equal_updates", loss_ratio(longer), "ratio", ratio=True)

for name, factor in factors.items():
    put_exact(f"factor.{name}", factor, "ratio")
put_exact("factor.ratio", factors["linear"] / factors["root"], "ratio")

for size in TARGET_SIZES:
    put(f"epochs_to_target.{size}", epochs_to_target[size], "epochs")
    put(
        f"updates_to_target.{size}",
        epochs_to_target[size] * updates_per_epoch[size],
        "updates",
    )
put(
    "examples_to_target.ratio",
    epochs_to_target[TARGET_SIZES[-1]] / epochs_to_target[TARGET_SIZES[0]],
    "ratio",
    ratio=True,
)
edges = [
    size
    for size in TARGET_SIZES
    if best_rate[size] in (TARGET_RATES[size][0], TARGET_RATES[size][-1])
]
put_exact("rates_on_the_edge", len(edges), "rates")

put_exact("memory.filled", filled, "examples")
put_exact("memory.updates_per_epoch", updates_per_epoch[filled], "updates")
put_exact("power.chosen", force_power_of_two(LIMIT), "examples")
put_exact("power.kept", keep_the_limit(LIMIT), "examples")
put_exact("power.unused", 1 - force_power_of_two(LIMIT) / LIMIT, "share")

for order, run in reused.items():
    losses = run["train"]["loss"][:, 0].astype(float)
    name = f"{order[0]}_first"
    # What the second size starts from, against a new model.
    put(f"reused.start.{name}", losses[1] / losses[0], "ratio", ratio=True)
    second = percent(run, "test") - percent(run, "test", look=1)
    put(f"reused.points_for_second.{name}", second, POINTS)
# The large size against the small one, each from a new model.
anew = percent(large, "test", 0, 2) - of_small(0)
put("anew.points_for_large", anew, POINTS)

means, lasts = epoch_losses.T
put("last_loss.off", np.abs(lasts - means) / means, "share")
moved = np.sign(np.diff(lasts)) != np.sign(np.diff(means))
put_share("last_loss.misleads", moved, "share of epochs")

for name in ("small", "large", "mended"):
    put_exact(f"schedule.rate_left.{name}", rates[name][-1], "share")
full_rate = rates["epochs"].count(rates["epochs"][0])
put_exact(
    "schedule.full_rate_by_epochs", full_rate / len(rates["epochs"]), "share"
)

values["first_update.ratio"] = {
    "value": float(np.median(first_updates)) / later_update,
    "ci": [
        min(first_updates) / later_update,
        max(first_updates) / later_update,
    ],
    "n": NUM_TIMED,
    "because": "the range of first updates, no interval",
    "unit": "ratio",
    "timing": True,
}
put(
    "unwaited.share",
    waits[:, 0] / waits[:, 1],
    "share",
    ratio=True,
    timing=True,
)

difference = scores[0] - scores[1]
put("two_sizes.difference", difference, POINTS)
put("two_sizes.apart", np.abs(difference), POINTS)
better = np.sign(difference.mean())
put_share("two_sizes.wrong", np.sign(difference) != better, "share of seeds")
put("one_size.difference", scores[0] - scores[2], POINTS)
put("one_size.apart", np.abs(scores[0] - scores[2]), POINTS)

for size, points in flattered.items():
    put(f"best.flatters.{size}", points, POINTS)
put("best.flatters.more", flattered[NOISY_SIZE] - flattered[LARGE], POINTS)

random = np.random.default_rng(FIRST_SEED)
for name, key in (("loaded", "seconds"), ("ready", "ready_seconds")):
    # Lower quartiles: a slow moment of the machine only makes blocks longer.
    quartiles = {
        size: np.quantile(
            random.choice(shares[size][key], (2000, TIMED_BLOCKS)), 0.25, axis=1
        )
        for size in (SMALL, LARGE)
    }
    gains = quartiles[SMALL] / quartiles[LARGE] * LARGE / SMALL
    values[f"pipeline.gain.{name}"] = {
        "value": float(np.median(gains)),
        "ci": np.quantile(gains, [0.025, 0.975]).tolist(),
        "n": TIMED_BLOCKS,
        "unit": "ratio",
        "timing": True,
    } | FEW

for (name, size), run in random_runs.items():
    for part in ("train", "test"):
        put(f"{name}.{part}.{size}", percent(run, part), "percent")
tiny, huge = RANDOM_SIZES[0], RANDOM_SIZES[-1]
put(
    "random_labels.train_gap",
    percent(random_runs["random_labels", tiny], "train")
    - percent(random_runs["random_labels", huge], "train"),
    POINTS,
)
for key, entry in values.items():
    print(key, entry["value"], entry.get("ci", ""))

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


def level(key):
    return -MARGIN_POINTS < low(key) and high(key) < MARGIN_POINTS


def above(name, key, bound):
    judge(name, low(key) > bound, key)


def below(name, key, bound):
    judge(name, high(key) < bound, key)


above("one_rate.holds_large_back", "points_behind.one_rate", MARGIN_POINTS)
judge(
    "one_rate.scaling_makes_level",
    level("points_behind.linear"),
    "points_behind.linear",
)
above("equal_epochs.large_is_behind", "points_behind.one_rate", MARGIN_POINTS)
# Behind on what it was trained on: that is no question of generalisation.
above("equal_epochs.large_has_trained_less", "loss_ratio.one_rate", 1.3)
judge(
    "equal_updates.level",
    level("points_behind.equal_updates"),
    "points_behind.equal_updates",
)
judge(
    "root.is_not_linear",
    values["factor.ratio"]["value"] > 1,
    "factor.root",
    "factor.linear",
)
above("root.leaves_large_behind", "points_behind.root", 1.0)
above("target.largest_needs_more_examples", "examples_to_target.ratio", 2)
judge(
    "target.largest_needs_fewer_updates",
    high(f"updates_to_target.{TARGET_SIZES[-1]}")
    < low(f"updates_to_target.{TARGET_SIZES[0]}"),
    *(f"updates_to_target.{size}" for size in TARGET_SIZES[::2]),
)
judge(
    "target.rates_lie_inside",
    values["rates_on_the_edge"]["value"] == 0,
    "rates_on_the_edge",
)
judge(
    "memory.fits_more_than_helps",
    filled > kept and low("examples_to_target.ratio") > MOST_EXAMPLES,
    "memory.filled",
    "examples_to_target.ratio",
)
judge(
    "power.leaves_memory_empty",
    values["power.unused"]["value"] > 0.25,
    "power.unused",
)
for order in reused:
    name = f"{order[0]}_first"
    below(f"reused.second_starts_trained.{name}", f"reused.start.{name}", 0.8)
    above(
        f"reused.second_leads.{name}", f"reused.points_for_second.{name}", 1.0
    )
below("anew.large_is_behind", "anew.points_for_large", -1.0)
above("last_loss.is_far_off", "last_loss.off", 0.1)
above("last_loss.often_misleads", "last_loss.misleads", 0.1)
judge(
    "schedule.never_reached",
    values["schedule.rate_left.large"]["value"] == 1,
    "schedule.rate_left.large",
)
judge(
    "schedule.share_is_reached",
    values["schedule.rate_left.mended"]["value"] < 0.5,
    "schedule.rate_left.mended",
)
judge(
    "schedule.epochs_end_too_soon",
    values["schedule.full_rate_by_epochs"]["value"] < 0.1,
    "schedule.full_rate_by_epochs",
)
judge(
    "first_update.is_far_longer",
    values["first_update.ratio"]["value"] > 10,
    "first_update.ratio",
)
below("unwaited.is_far_too_short", "unwaited.share", 0.5)
above("one_seed.is_often_wrong", "two_sizes.wrong", 0.05)
above("one_seed.moves_the_same_size", "one_size.apart", 0.5)
judge(
    "one_size.is_level_with_itself",
    level("one_size.difference"),
    "one_size.difference",
)
above("best.is_too_good.noisy", f"best.flatters.{NOISY_SIZE}", 1.0)
above("best.is_too_good.quiet", f"best.flatters.{LARGE}", 1.0)
above("best.flatters_the_noisy_more", "best.flatters.more", 0)
gain = {name: values[f"pipeline.gain.{name}"] for name in ("loaded", "ready")}
judge(
    "pipeline.hides_the_gain",
    gain["loaded"]["value"] < 2,
    "pipeline.gain.loaded",
)
judge(
    "pipeline.ready_batch_shows_it",
    gain["ready"]["value"] > 2,
    "pipeline.gain.ready",
)
tests = [f"random_labels.test.{size}" for size in RANDOM_SIZES]
judge(
    "random_labels.test_is_chance",
    all(
        50 - CHANCE_POINTS < low(key) and high(key) < 50 + CHANCE_POINTS
        for key in tests
    ),
    *tests,
)
above(
    "random_labels.small_stores_more", "random_labels.train_gap", MARGIN_POINTS
)
tests = [f"labels_to_learn.test.{size}" for size in RANDOM_SIZES[::2]]
judge(
    "labels_to_learn.test_is_above_chance",
    all(low(key) > 75 for key in tests),
    *tests,
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Results

# %%
series = {}


def line(x, found, unit):
    found = [mean_interval(samples) for samples in found]
    mean, bottom, top = (list(column) for column in zip(*found))
    return {"x": list(x), "y": mean, "low": bottom, "high": top, "unit": unit}


seed_counts = list(range(3, RACE_SEEDS + 1))
series["difference_by_seeds"] = line(
    seed_counts, [difference[:count] for count in seed_counts], POINTS
)
for part in ("train", "test"):
    series[f"random_labels.{part}"] = line(
        RANDOM_SIZES,
        [percent(random_runs["random_labels", s], part) for s in RANDOM_SIZES],
        "percent",
    )
results = {"values": values, "judgements": judgements, "series": series}
