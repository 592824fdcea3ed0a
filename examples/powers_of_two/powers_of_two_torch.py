# %% [markdown]
# # Is a power of two faster? (PyTorch)
#
# Measures the time of an update at powers of two and at the sizes beside
# them, for the batch size and for the width of a layer.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `0.5` minutes
# - Timing: `alone`

# %%
import os

# One thread, so that the result does not depend on the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import time

import numpy as np
import torch
from scipy import stats
from torch import nn

from snippets.count_updates import count_updates

# %% [markdown]
# ## Settings
#
# The device is found. A GPU also gets wide networks, since small ones cannot
# keep it busy, and mixed precision. `SHORT = True` gives a run of seconds, to
# see it work; its numbers mean nothing.

# %%
SHORT = False

# Batch sizes that are powers of two, and the distance to their neighbours.
SIZES = [32, 128] if SHORT else [32, 64, 128, 256, 512]
NEXT = 1
NEXT_MULTIPLE = 8
# All dimensions of the networks are powers of two as well.
NUM_FEATURES = 256
NUM_CLASSES = 16
# Height and width of an image, in pixels.
IMAGE_SIZE = 16
# Units of a hidden layer, channels of the first convolution.
WIDTHS = {"mlp": 256, "cnn": 8}
GPU_WIDTHS = {"wide_mlp": 4096, "wide_cnn": 128}
PRECISIONS = {"cpu": ["float32"], "gpu": ["float32", "bfloat16"]}
# Widths that are compared with their neighbours, and the examples then.
STUDIED_WIDTHS = {"cpu": [128, 256], "gpu": [1024, 4096]}
WIDTH_BATCH_SIZE = {"cpu": 512, "gpu": 4096}
LEARNING_RATE = 0.0001
SEED = 600
# In each block every size is timed once, for at least so many seconds.
NUM_BLOCKS = 10 if SHORT else 50
PIECE_SECONDS = 0.0 if SHORT else 0.005
NUM_WARM_UPS = 3
# The intervals hold for all comparisons of a program at once.
CONFIDENCE = 0.95
NUM_DRAWS = 5000
# Percent: less than this is no difference, for the mean over all sizes and
# for each of them.
MEAN_MARGIN = 10.0
EACH_MARGIN = 30.0
# Examples of a data set whose epoch is counted.
NUM_EXAMPLES = 50000

# %% [markdown]
# ## Device

# %%
on_gpu = torch.cuda.is_available()
device = torch.device("cuda" if on_gpu else "cpu")
if on_gpu:
    # Float32 in full; bfloat16 is the precision of the tensor cores.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
machine = "gpu" if on_gpu else "cpu"
widths = WIDTHS | (GPU_WIDTHS if on_gpu else {})


def wait():
    """Until the device has done all it was given."""
    if on_gpu:
        torch.cuda.synchronize()


# %% [markdown]
# ## Networks
#
# A multilayer perceptron and a convolutional network. Only time is measured,
# so the data are random.


# %%
def build_model(seed, width=WIDTHS["mlp"]):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, NUM_CLASSES),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def build_cnn(seed, width=WIDTHS["cnn"]):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (IMAGE_SIZE // 4) ** 2, NUM_CLASSES),
    )


def make_updates(name, width, precision):
    """A function of the batch size that gives the update to be timed.

    An update is forward, backward and a step of SGD.
    """
    is_mlp = name.endswith("mlp")
    model = (build_model if is_mlp else build_cnn)(SEED, width).to(device)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)
    shape = (NUM_FEATURES,) if is_mlp else (1, IMAGE_SIZE, IMAGE_SIZE)
    random = torch.Generator().manual_seed(SEED)

    def update_of(batch_size):
        x = torch.randn(batch_size, *shape, generator=random).to(device)
        y = torch.randint(NUM_CLASSES, (batch_size,), generator=random)
        y = y.to(device)
        mixed = torch.autocast(
            device.type, torch.bfloat16, enabled=precision == "bfloat16"
        )

        def update():
            optimizer.zero_grad()
            with mixed:
                loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()

        return update

    return update_of


# %% [markdown]
# ## Measure
#
# A group is a power of two with its four neighbours. In each block every size
# of every group has its turn, those of a group one after the other in random
# order, so that a slow moment falls on all of them.

# %%
STEPS = [-NEXT_MULTIPLE, -NEXT, 0, NEXT, NEXT_MULTIPLE]
groups = {}
for precision in PRECISIONS[machine]:
    ending = "" if precision == "float32" else f"_{precision}"
    for name, width in widths.items():
        update_of = make_updates(name, width, precision)
        for size in SIZES:
            groups[name + ending, size] = {
                size + step: update_of(size + step) for step in STEPS
            }
    for size in STUDIED_WIDTHS[machine]:
        groups["width" + ending, size] = {
            size + step: make_updates("mlp", size + step, precision)(
                WIDTH_BATCH_SIZE[machine]
            )
            for step in STEPS
        }


def seconds_per_update(update, num_updates):
    start = time.perf_counter()
    for _ in range(num_updates):
        update()
    wait()
    return (time.perf_counter() - start) / num_updates


gc.collect()
gc.disable()
num_updates = {}
for group, updates in groups.items():
    for update in updates.values():
        seconds_per_update(update, NUM_WARM_UPS)
    later = min(seconds_per_update(each, 1) for each in updates.values())
    # As many for each size of a group.
    num_updates[group] = max(1, int(np.ceil(PIECE_SECONDS / later)))
seconds = {
    group: {size: np.empty(NUM_BLOCKS) for size in updates}
    for group, updates in groups.items()
}
random = np.random.default_rng(SEED)
for block in range(NUM_BLOCKS):
    for group, updates in groups.items():
        for size in random.permutation(list(updates)):
            seconds[group][size][block] = seconds_per_update(
                updates[size], num_updates[group]
            )
gc.enable()

# %% [markdown]
# ## Compare
#
# The time of an update is near to a line in the batch size. So the mean time of
# the two neighbours is what a power of two would take if it were nothing
# special, whatever the fixed cost of an update.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}
num_comparisons = 2 * len(groups)


def median_interval(samples):
    """Median, low, high: two of the samples, whatever their distribution."""
    ordered, count = np.sort(samples), len(samples)
    # Fewer than this many lie below the true median only by rare chance.
    rank = int(stats.binom.ppf((1 - CONFIDENCE) / 2, count, 0.5))
    return np.median(ordered), ordered[max(1, rank) - 1], ordered[-max(1, rank)]


def put(key, middle, low, high, unit):
    values[key] = {"value": middle, "ci": [low, high], "n": NUM_BLOCKS}
    values[key] |= {"unit": unit, "timing": True} | FEW


def put_gain(key, draws, comparisons=1):
    """Store the first of the draws with the interval that the others give.

    With several comparisons the interval is so wide that all of them hold at
    once, each with a share of the risk.
    """
    risk = (1 - CONFIDENCE) / comparisons
    ends = np.quantile(draws[1:], [risk / 2, 1 - risk / 2])
    put(key, draws[0], *ends, "percent")


def put_exact(key, value, unit, timing=False):
    values[key] = {"value": value, "unit": unit, "exact": True}
    values[key] |= {"timing": True} if timing else {}


def high(key):
    return values[key]["ci"][1]


def low(key):
    return values[key]["ci"][0]


# The blocks as they are, then drawn again with replacement.
drawn = np.random.default_rng(SEED).integers(
    NUM_BLOCKS, size=(NUM_DRAWS, NUM_BLOCKS)
)
drawn = np.concatenate([np.arange(NUM_BLOCKS)[None], drawn])


def medians_of(group):
    """{size: its median time in its group [draws]}.

    Each block is relative to the mean of its middle times, which takes out what
    was slow for a whole block. The medians are taken before the neighbours are
    averaged: disturbances only ever add time, and the mean of two times has
    more of them than one time.
    """
    times = seconds[group]
    usual = np.sort(list(times.values()), axis=0)[1:-1].mean(axis=0)
    return {
        size: np.median((each / usual)[drawn], axis=1)
        for size, each in times.items()
    }


kinds = {"gain": NEXT, "gain_over_multiples": NEXT_MULTIPLE}
names = list(dict.fromkeys(name for name, _ in groups))
gains = {kind: {name: [] for name in names} for kind in kinds}
for name, size in groups:
    medians = medians_of((name, size))
    for kind, distance in kinds.items():
        neighbours = (medians[size - distance] + medians[size + distance]) / 2
        # Percent more that the neighbours take than the power of two.
        found = 100 * (neighbours / medians[size] - 1)
        gains[kind][name].append(found)
        put_gain(f"{kind}.{name}.{size}", found, num_comparisons)
for kind in kinds:
    for name, found in gains[kind].items():
        put_gain(f"mean_{kind}.{name}", np.mean(found, axis=0))
        own = [f"{kind}.{each}.{size}" for each, size in groups if each == name]
        largest = max(high(key) for key in own)
        put_exact(f"excluded_{kind}.{name}", largest, "percent", timing=True)

per_example = {
    name: {
        size: times / size
        for power in SIZES
        for size, times in seconds[name, power].items()
    }
    for name in names
    if not name.startswith("width")
}
for name, times in per_example.items():
    for size in SIZES:
        for step in STEPS:
            key = f"time_per_example.{name}.{size + step}"
            ratios = times[size + step] / times[size]
            if step:
                put(key, *median_interval(ratios), "ratio")
    ratios = times[SIZES[0]] / times[SIZES[-1]]
    put(f"gain_of_size.{name}", *median_interval(ratios), "ratio")
for size in SIZES:
    for step in (-NEXT, 0, NEXT):
        count = count_updates(NUM_EXAMPLES, size + step)
        put_exact(f"updates_per_epoch.{size + step}", count, "updates")
    left_over = NUM_EXAMPLES % size
    put_exact(f"left_over.{size}", left_over, "examples")

for key, entry in values.items():
    interval = [f"{end:.4g}" for end in entry.get("ci", [])]
    print(f"{key:36}{entry['value']:10.4g}", *interval)

# %% [markdown]
# ## Judge
#
# "No difference" means that the whole interval is below the margin.

# %%
judgements = {}


def judge(key, holds, because):
    judgements[key] = {"holds": bool(holds), "because": because}


for name in names:
    own = [size for each, size in groups if each == name]
    for kind in kinds:
        # What an odd width costs depends on the machine's libraries.
        if name.startswith("width") and kind == "gain":
            continue
        keys = [f"{kind}.{name}.{size}" for size in own]
        none = all(high(key) < EACH_MARGIN for key in keys)
        judge(f"no_{kind}.{name}", none, keys)
        key = f"mean_{kind}.{name}"
        judge(f"no_{key}", high(key) < MEAN_MARGIN, [key])
key = "gain_of_size.mlp"
judge("size_matters.mlp", low(key) > 1 + MEAN_MARGIN / 100, [key])
keys = [f"left_over.{size}" for size in SIZES]
judge(
    "every_size_leaves_a_rest", all(values[key]["value"] for key in keys), keys
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, sizes, keys):
    """Store values with their intervals."""
    series[name] = {
        "x": sizes,
        "y": [values[key]["value"] for key in keys],
        "low": [low(key) for key in keys],
        "high": [high(key) for key in keys],
        "unit": values[keys[0]]["unit"],
    }


for name in names:
    if name.startswith("width"):
        continue
    for kind in kinds:
        keys = [f"{kind}.{name}.{size}" for size in SIZES]
        put_series(f"{kind}.{name}", SIZES, keys)
    # All sizes in a row, their time per example relative to the largest power.
    each = per_example[name]
    curve = {
        size: median_interval(each[size] / each[SIZES[-1]])
        for size in sorted(each)
    }
    y, low_ends, high_ends = zip(*curve.values())
    series[f"time_per_example.{name}"] = {
        "x": list(curve),
        "y": y,
        "low": low_ends,
        "high": high_ends,
        "unit": "ratio",
    }

results = {"values": values, "judgements": judgements, "series": series}
