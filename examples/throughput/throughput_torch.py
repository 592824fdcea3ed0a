# %% [markdown]
# # How many examples per second (PyTorch)
#
# Measures the time of an update against batch size for three networks, how
# far that is from the machine's limit, and the time to a target accuracy.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the result does not depend on the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import time

import numpy as np
import torch
from mnist1d.data import get_dataset_args, make_dataset
from scipy import stats
from torch import nn

from snippets.mean_interval import mean_interval
from snippets.measure_throughput_torch import measure_throughput_torch
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Settings
#
# The device is found. A GPU also gets wide networks, since small ones cannot
# keep it busy. `SHORT = True` gives a run of seconds, to see it work; its
# numbers mean nothing.

# %%
SHORT = False

NUM_FEATURES = 40
NUM_CLASSES = 10
# Height and width of an image, in pixels.
IMAGE_SIZE = 28
# Characters in a text, and characters that there are.
TEXT_LENGTH = 32
VOCABULARY = 64
NUM_HEADS = 4
NUM_BLOCKS = 2
# Units, channels of the first convolution, size of an embedding.
WIDTHS = {"mlp": 128, "cnn": 16, "transformer": 64}
GPU_WIDTHS = {"wide_mlp": 4096, "wide_cnn": 128, "wide_transformer": 1024}
BATCH_SIZES = {
    "mlp": [1, 4, 16, 64, 256, 1024, 4096],
    "cnn": [1, 2, 4, 8, 16, 32, 64, 128, 256],
    "transformer": [1, 2, 4, 8, 16, 32, 64],
}
GPU_BATCH_SIZES = {
    "mlp": [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144],
    "cnn": [1, 16, 64, 256, 1024, 4096, 16384],
    "transformer": [1, 16, 64, 256, 1024, 4096],
    "wide_mlp": [1, 16, 256, 1024, 4096, 16384],
    "wide_cnn": [1, 16, 64, 256, 1024],
    "wide_transformer": [1, 4, 16, 64, 256],
}
# The square matrices that are multiplied, in rows, and what is copied.
MATRIX_SIZE = {"cpu": 1024, "gpu": 8192}
COPY_MEGABYTES = {"cpu": 128, "gpu": 1024}
LEARNING_RATE = 0.001
NUM_REPEATS = 5 if SHORT else 12
BLOCK_SECONDS = 0.0 if SHORT else 0.03
# New networks, for the time of a first update.
NUM_FIRST = 2 if SHORT else 10
FIRST_BATCH_SIZE = 64
# Numbers that an update with Adam reads or writes for each weight: the
# weight forward and backward, the gradient; then Adam reads four, writes
# three.
WEIGHT_PASSES = 10

# The time to a target, for the multilayer perceptron.
TARGET_SIZES = [16, 64, 1024] if SHORT else [16, 64, 256, 1024, 4096]
REFERENCE_BATCH_SIZE = 64
# Devices that share each batch evenly; their exchange is taken to be free.
DEVICES = [1, 4, 16]
# Examples: training, validation, test.
SPLIT = [4096, 500, 500]
TARGET_ACCURACY = 0.2 if SHORT else 0.5
# Learning rates of Adam for each size.
RATES = {
    16: [0.00125, 0.0025, 0.005, 0.01],
    64: [0.0025, 0.005, 0.01, 0.02],
    256: [0.005, 0.01, 0.02],
    1024: [0.005, 0.01, 0.02, 0.04],
    4096: [0.005, 0.01, 0.02, 0.04],
}
MOST_UPDATES = 8 if SHORT else 4000
# A look comes after this many times the updates of the one before.
LOOK_FACTOR = 1.06
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 500
# "Clearly" more is more than this factor, "far" more than the second. Set
# beforehand.
MARGIN_FACTOR = 1.5
FAR_FACTOR = 10.0

# %% [markdown]
# ## Device

# %%
on_gpu = torch.cuda.is_available()
device = torch.device("cuda" if on_gpu else "cpu")
if on_gpu:
    # Float32 in full, in the networks as in the product that is the limit.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
machine = "gpu" if on_gpu else "cpu"
batch_sizes = GPU_BATCH_SIZES if on_gpu else BATCH_SIZES
widths = WIDTHS | (GPU_WIDTHS if on_gpu else {})

# %% [markdown]
# ## Networks
#
# A multilayer perceptron, a convolutional network for images and a
# transformer that predicts each next character. Of the last two only the
# time is measured, so they get random data.


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


class Transformer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.blocks = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width,
                NUM_HEADS,
                dim_feedforward=4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            ),
            NUM_BLOCKS,
            norm=nn.LayerNorm(width),
            enable_nested_tensor=False,
        )
        self.head = nn.Linear(width, VOCABULARY)
        mask = nn.Transformer.generate_square_subsequent_mask(TEXT_LENGTH)
        self.register_buffer("mask", mask)

    def forward(self, tokens):
        x = self.blocks(self.embed(tokens), mask=self.mask, is_causal=True)
        return self.head(x)


def build_transformer(seed, width=WIDTHS["transformer"]):
    torch.manual_seed(seed)
    return Transformer(width)


builders = {
    "mlp": build_model,
    "cnn": build_cnn,
    "transformer": build_transformer,
}


def build(name, seed=FIRST_SEED):
    kind = name.removeprefix("wide_")
    return builders[kind](seed, widths[name]).to(device)


def loss_function(outputs, labels):
    """The mean over examples, and over the characters of a text."""
    return nn.functional.cross_entropy(outputs.flatten(0, -2), labels.flatten())


def optimizer_for(model):
    return torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=1e-7)


def random_data(name):
    """As many examples as the largest batch of a network has."""
    random = np.random.default_rng(FIRST_SEED)
    count = max(batch_sizes[name])
    if name.endswith("transformer"):
        texts = random.integers(VOCABULARY, size=(count, TEXT_LENGTH + 1))
        return torch.tensor(texts[:, :-1]), torch.tensor(texts[:, 1:])
    shape = (NUM_FEATURES,)
    if name.endswith("cnn"):
        shape = (1, IMAGE_SIZE, IMAGE_SIZE)
    x = random.normal(size=(count, *shape)).astype("float32")
    y = random.integers(NUM_CLASSES, size=count)
    return torch.tensor(x), torch.tensor(y)


num_weights = {
    name: sum(weight.numel() for weight in build(name).parameters())
    for name in widths
}
print("weights:", num_weights)

# %% [markdown]
# ## The machine's limit
#
# A large product of matrices and a large copy, before and between the
# networks, so that a slow moment falls on all of them.


# %%
rows = 64 if SHORT else MATRIX_SIZE[machine]
matrix = torch.rand(rows, rows, device=device)
numbers = 1000 if SHORT else COPY_MEGABYTES[machine] * 10**6 // 4
if on_gpu:
    source = torch.rand(numbers, device=device)
    target = torch.empty_like(source)
else:
    source, target = np.ones((2, numbers), "float32")


def seconds_of(work):
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def copy_memory():
    if on_gpu:
        target.copy_(source)
    else:
        np.copyto(target, source)


def measure_limits(num_repeats):
    """Add to operations per second, and to bytes read and written."""
    gc.disable()
    for _ in range(num_repeats):
        seconds = seconds_of(lambda: matrix @ matrix)
        matrix_rates.append(2 * rows**3 / seconds)
        seconds = seconds_of(copy_memory)
        copy_rates.append(2 * 4 * numbers / seconds)
    gc.enable()


matrix_rates, copy_rates = [], []
measure_limits(2)
matrix_rates.clear()
copy_rates.clear()

# %% [markdown]
# ## Throughput
#
# Plain loops, one network after the other; the sizes of a network take turns
# in random order.

# %%
throughput = {}
for name in widths:
    measure_limits(4)
    model = build(name)
    throughput[name] = measure_throughput_torch(
        model,
        optimizer_for(model),
        loss_function,
        *random_data(name),
        batch_sizes[name],
        num_repeats=NUM_REPEATS,
        block_seconds=BLOCK_SECONDS,
    )
    print("measured:", name)
measure_limits(4)
print(f"product: {np.median(matrix_rates):.2g} operations per second")
print(f"copy: {np.median(copy_rates):.2g} bytes per second")

# %% [markdown]
# ## The first update
#
# Of new networks, in a process that has trained others before. Updates of the
# same batch size follow, then a second size, then a third.


# %%
def first_updates():
    """Seconds: first update, a later one, second size, third size."""
    model = build("mlp")
    optimizer = optimizer_for(model)
    x, y = (each.to(device) for each in random_data("mlp"))

    def update(size):
        optimizer.zero_grad()
        loss_function(model(x[:size]), y[:size]).backward()
        optimizer.step()

    first = seconds_of(lambda: update(FIRST_BATCH_SIZE))
    later = [seconds_of(lambda: update(FIRST_BATCH_SIZE)) for _ in range(9)]
    second = seconds_of(lambda: update(FIRST_BATCH_SIZE - 1))
    third = seconds_of(lambda: update(FIRST_BATCH_SIZE - 2))
    return first, np.median(later), second, third


gc.disable()
first, later, second, third = np.transpose(
    [first_updates() for _ in range(NUM_FIRST)]
)
gc.enable()

# %% [markdown]
# ## Time to a target
#
# MNIST-1D, drawn anew for each seed. All seeds and rates of a batch size are
# trained at once; how long an update takes was measured above, in a plain
# loop. A rate is chosen where the last seed reaches the target soonest on
# validation data; the updates are those to the target on test data.


# %%
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]


def draw(seed):
    """Inputs and labels of a new MNIST-1D."""
    arguments = get_dataset_args()
    arguments.seed = seed
    arguments.num_samples = sum(SPLIT) // 10 * 10 + 10
    made = make_dataset(arguments)
    return [
        np.concatenate([made[key], made[f"{key}_test"]])[: sum(SPLIT)]
        for key in "xy"
    ]


# Inputs [seeds, examples, features] and labels [seeds, examples].
x, y = map(np.stack, zip(*map(draw, SEEDS)))
x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def count_updates(batch_size):
    """Updates of one epoch, counted while the data are gone through."""
    return len(torch.split(x[0, : SPLIT[0]], batch_size))


def parts_for(num_rates):
    """All data sets once for each rate, in the order of the models."""
    x_all, y_all = torch.cat([x] * num_rates), torch.cat([y] * num_rates)
    return list(zip(x_all.split(SPLIT, dim=1), y_all.split(SPLIT, dim=1)))


def train(batch_size, rates, checkpoints, stop):
    """{"validation" and "test": accuracy [checkpoints, rates, seeds]}."""
    train_part, validation, test = parts_for(len(rates))
    history = train_rates_torch(
        [build("mlp", seed) for _ in rates for seed in SEEDS],
        [rate for rate in rates for _ in SEEDS],
        *train_part,
        [(checkpoints[-1], batch_size, 1.0)],
        checkpoints,
        {"validation": validation, "test": test},
        seed=FIRST_SEED + batch_size,
        optimizer="adam",
        stop=stop,
    )
    return {
        part: found["accuracy"].reshape(-1, len(rates), NUM_SEEDS)
        for part, found in history.items()
    }


# Dense enough to tell the sizes apart.
checkpoints = [1]
while checkpoints[-1] < MOST_UPDATES:
    checkpoints.append(
        max(checkpoints[-1] + 1, int(LOOK_FACTOR * checkpoints[-1]))
    )


def stop(history):
    """Whether all that is needed of this batch size has been seen.

    At the rate where the last seed is soonest on validation data, every seed
    has to reach the target on test data too.
    """
    reached = {
        part: np.stack(found["accuracy"]) >= TARGET_ACCURACY
        for part, found in history.items()
    }
    first = reached["validation"].argmax(axis=0).astype(float)
    first[~reached["validation"].any(axis=0)] = np.inf
    last_seed = first.reshape(-1, NUM_SEEDS).max(axis=1)
    chosen = last_seed.argmin()
    there = reached["test"].any(axis=0).reshape(-1, NUM_SEEDS)[chosen]
    return bool(np.isfinite(last_seed[chosen]) and there.all())


runs = {}
for size in TARGET_SIZES:
    runs[size] = train(size, RATES[size], checkpoints, stop)
    print("trained with batches of", size)
updates_per_epoch = {size: count_updates(size) for size in TARGET_SIZES}

# %% [markdown]
# ## Measure
#
# Ratios of times pair the repeats; their median is reported. All that a clock
# gave is marked as timing.

# %%
FEW = {"because": "short run"} if SHORT else {}
NOT_REACHED = "not every seed reached the target"
values, inside = {}, {}


def put(key, samples, unit):
    """Store the mean over the seeds with its interval."""
    samples = np.asarray(samples, dtype=float)
    if not np.isfinite(samples).all():
        values[key] = {"value": None, "unit": unit, "reason": NOT_REACHED}
        return
    mean, low, high = mean_interval(samples)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW


def median_interval(samples):
    """Median, low, high: two of the samples, whatever their distribution.

    A few repeats that something else disturbed do not move it.
    """
    ordered, count = np.sort(samples), len(samples)
    # So many lie below the median of all by chance in one of forty.
    rank = max(1, int(stats.binom.ppf(0.025, count, 0.5)))
    return np.array([np.median(ordered), ordered[rank - 1], ordered[-rank]])


def put_ratio(key, over, under, unit="ratio", factor=1.0):
    """Store the ratio of two lists of times or rates, pair by pair."""
    count = min(len(over), len(under))
    ratios = factor * np.array(over[:count]) / np.array(under[:count])
    middle, low, high = median_interval(ratios)
    values[key] = {"value": middle, "ci": [low, high], "n": count}
    values[key] |= {"unit": unit, "timing": True} | FEW


def put_knee(key, ends, unit):
    """Store a value with its interval, [value, low, high], from the snippet."""
    values[key] = {"unit": unit, "timing": True}
    if np.isfinite(ends).all():
        values[key] |= {"value": ends[0], "ci": [ends[1], ends[2]]}
        values[key] |= {"n": NUM_REPEATS} | FEW
    else:
        why = "the time of an update does not grow with the batch"
        values[key] |= {"value": None, "reason": why}


def put_exact(key, value, unit, timing=False):
    values[key] = {"value": value, "unit": unit, "exact": True}
    values[key] |= {"timing": True} if timing else {}


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def count_operations(name):
    """Floating-point operations of training on one example.

    Of the matrix products and convolutions: a multiplication and an addition
    each. Backward costs two products for each one forward, but the first
    layer's inputs need no gradient.
    """
    width, kind = widths[name], name.removeprefix("wide_")
    if kind == "mlp":
        first = NUM_FEATURES * width
        others = width * width + width * NUM_CLASSES
    elif kind == "cnn":
        first = IMAGE_SIZE**2 * 9 * width
        others = (IMAGE_SIZE // 2) ** 2 * 9 * width * 2 * width
        others += (IMAGE_SIZE // 4) ** 2 * 2 * width * NUM_CLASSES
    else:
        first = 0
        block = 12 * width**2 + 2 * TEXT_LENGTH * width
        others = TEXT_LENGTH * (NUM_BLOCKS * block + width * VOCABULARY)
    return 2 * (2 * first + 3 * others)


for name, found in throughput.items():
    sizes, seconds = batch_sizes[name], found["seconds"]
    smallest, largest = sizes[0], sizes[-1]
    operations = count_operations(name)
    put_exact(f"operations.{name}", operations, "operations")
    put_exact(f"weights.{name}", num_weights[name], "weights")
    for size in sizes:
        rate = operations * size / seconds[size]
        put_ratio(
            f"matrix_share.{name}.{size}", rate, matrix_rates, "percent", 100
        )
        if size == smallest:
            continue
        put_ratio(
            f"gain.{name}.{size}",
            seconds[smallest],
            seconds[size],
            factor=size / smallest,
        )
        key = f"update_time.{name}.{size}"
        put_ratio(key, seconds[size], seconds[smallest])
    rates = found["examples_per_second"]
    best = max(sizes, key=rates.get)
    put_exact(f"best_size.{name}", best, "examples", timing=True)
    values[f"best_share.{name}"] = values[f"matrix_share.{name}.{best}"]
    put_ratio(
        f"last_gain.{name}",
        seconds[sizes[-2]],
        seconds[largest],
        factor=largest / sizes[-2],
    )
    ends = np.array([found["knee"], found["low"], found["high"]])
    put_knee(f"knee.{name}", ends, "examples")
    # The fixed part of the time of the smallest batch.
    share = 100 * ends / (ends + smallest)
    put_knee(f"fixed_share.{name}", share, "percent")
    put_exact(f"misfit.{name}", 100 * found["misfit"], "percent", timing=True)
    moving = WEIGHT_PASSES * 4 * num_weights[name] / np.array(copy_rates)
    put_ratio(
        f"weights_share.{name}", moving, seconds[smallest], "percent", 100
    )
    print(f"{name}: knee {found['knee']:.3g}, best size {best}")

put_ratio("balance", matrix_rates, copy_rates, "operations per byte")
put_ratio("first_update", first, later)
put_ratio("second_size", second, later)
put_ratio("third_size", third, later)
put_ratio(
    "first_update_in_epochs",
    first,
    later,
    "epochs",
    FIRST_BATCH_SIZE / SPLIT[0],
)


def first_reached(accuracy):
    """Updates to the target [...]; inf where it was not reached."""
    reached = accuracy >= TARGET_ACCURACY
    updates = np.array(checkpoints, dtype=float)[reached.argmax(axis=0)]
    return np.where(reached.any(axis=0), updates, np.inf)


draws = np.random.default_rng(FIRST_SEED).integers(
    NUM_SEEDS, size=(1000, NUM_SEEDS)
)
updates_to = {}
for size, accuracy in runs.items():
    updates = first_reached(accuracy["validation"])
    index = updates.max(axis=1).argmin()
    found = updates[:, draws].max(axis=2).argmin(axis=0)
    ends = np.quantile(found, [0.025, 0.975]).round().astype(int)
    ends = [min(ends[0], index), max(ends[1], index)]
    key, powers = f"rate.{size}", RATES[size]
    values[key] = {"value": powers[index], "unit": "rate", "n": NUM_SEEDS}
    values[key] |= {"ci": [powers[end] for end in ends]} | FEW
    inside[key] = 0 < index < len(powers) - 1
    updates_to[size] = first_reached(accuracy["test"])[index]
    put_exact(f"updates_per_epoch.{size}", updates_per_epoch[size], "updates")
    put(f"updates_to_target.{size}", updates_to[size], "updates")
    epochs = updates_to[size] * size / SPLIT[0]
    put(f"epochs_to_target.{size}", epochs, "epochs")


def put_seconds(key, size, other, devices=1, price=1):
    """Store how much longer the target takes than with another size.

    Several devices share the first size; price multiplies the ratio.
    Updates vary with the seed and seconds with the machine: their intervals
    are multiplied end by end, which is wider than it need be.
    """
    ratios = updates_to[size] / updates_to[other]
    values[key] = {"unit": "ratio", "timing": True}
    if not np.isfinite(ratios).all():
        values[key] |= {"value": None, "reason": NOT_REACHED}
        return
    seconds = throughput["mlp"]["seconds"]
    paired = price * seconds[size // devices] / seconds[other]
    middle, low, high = median_interval(paired) * mean_interval(
        ratios, ratio=True
    )
    values[key] |= {"value": middle, "ci": [low, high]} | FEW
    values[key] |= {"n": min(NUM_SEEDS, NUM_REPEATS)}


medians = {
    size: np.median(seconds)
    for size, seconds in throughput["mlp"]["seconds"].items()
}
for size in TARGET_SIZES:
    if size != REFERENCE_BATCH_SIZE:
        put_seconds(f"seconds_to_target.{size}", size, REFERENCE_BATCH_SIZE)
    put_ratio(
        f"epoch_time.{size}",
        updates_per_epoch[size] * throughput["mlp"]["seconds"][size],
        updates_per_epoch[TARGET_SIZES[0]]
        * throughput["mlp"]["seconds"][TARGET_SIZES[0]],
    )
smallest, largest = TARGET_SIZES[0], TARGET_SIZES[-1]
quickest = min(
    TARGET_SIZES, key=lambda size: updates_to[size].mean() * medians[size]
)
fastest = min(TARGET_SIZES, key=lambda size: medians[size] / size)
put_exact("quickest_to_target", quickest, "examples", timing=True)
put_exact("fastest_per_example", fastest, "examples", timing=True)
put_seconds("fastest_over_quickest", fastest, quickest)
put_seconds("smallest_over_quickest", smallest, quickest)
put_seconds("largest_over_quickest", largest, quickest)


def seconds_shared(size, devices):
    return updates_to[size].mean() * medians[size // devices]


# The least seconds that so many devices can do it in, and what they cost.
for devices in DEVICES:
    best = min(TARGET_SIZES, key=lambda size: seconds_shared(size, devices))
    put_exact(f"best_shared.{devices}", best, "examples", timing=True)
    put_seconds(f"time_shared.{devices}", best, quickest, devices)
    put_seconds(f"cost_shared.{devices}", best, quickest, devices, devices)

for key, entry in values.items():
    if entry["value"] is not None:
        interval = [f"{end:.4g}" for end in entry.get("ci", [])]
        print(f"{key:32}{entry['value']:12.4g}", *interval)

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side of the margin.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def judge_more(name, key, margin):
    judge(name, low(key) > margin, key)


for name in widths:
    sizes = batch_sizes[name]
    # The same factor between the sizes for all: sixteen.
    key = f"gain.{name}.{16 * sizes[0]}"
    judge_more(f"larger_is_faster.{name}", key, MARGIN_FACTOR)
    judge_more(f"one_is_mostly_fixed_cost.{name}", f"fixed_share.{name}", 50)
    key = f"update_time.{name}.{sizes[-1]}"
    judge_more(f"largest_update_is_slower.{name}", key, MARGIN_FACTOR)
    key = f"weights_share.{name}"
    judge(f"weights_are_not_the_limit.{name}", high(key) < 50, key)
    if name in GPU_WIDTHS:
        judge_more(f"reaches_the_machine.{name}", f"best_share.{name}", 60)
key = f"epoch_time.{largest}"
judge("epoch_is_faster_at_the_largest", high(key) < 1 / MARGIN_FACTOR, key)
judge_more("first_update_is_far_longer", "first_update", FAR_FACTOR)
judge_more("second_size_is_far_longer", "second_size", FAR_FACTOR)
judge_more("third_size_is_far_longer", "third_size", FAR_FACTOR)
judge_more("fastest_per_example_loses", "fastest_over_quickest", 1)
judge_more("largest_loses", "largest_over_quickest", MARGIN_FACTOR)
judge_more("smallest_loses", "smallest_over_quickest", MARGIN_FACTOR)
most = DEVICES[-1]
key = f"time_shared.{most}"
judge("sharing_is_faster", high(key) < 1 / MARGIN_FACTOR, key)
judge_more("sharing_costs_more", f"cost_shared.{most}", MARGIN_FACTOR)
judge("rates_lie_inside_their_grids", all(inside.values()), *inside)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)
print("on the edge:", [key for key, holds in inside.items() if not holds])

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, sizes, keys):
    """Store values; a key of None is 1, what the others are relative to."""
    one = {"value": 1.0, "ci": [1.0, 1.0]}
    entries = [values[key] if key else one for key in keys]
    ends = [entry.get("ci") or [None, None] for entry in entries]
    series[name] = {
        "x": sizes,
        "y": [entry["value"] for entry in entries],
        "low": [end[0] for end in ends],
        "high": [end[1] for end in ends],
        "unit": values[keys[-1]]["unit"],
    }


for name, found in throughput.items():
    sizes = batch_sizes[name]
    for kind in ("gain", "update_time"):
        keys = [f"{kind}.{name}.{size}" for size in sizes[1:]]
        put_series(f"{kind}.{name}", sizes, [None, *keys])
    keys = [f"matrix_share.{name}.{size}" for size in sizes]
    put_series(f"matrix_share.{name}", sizes, keys)
    line = found["fixed_seconds"] + found["seconds_per_example"] * np.array(
        sizes
    )
    line /= np.median(found["seconds"][sizes[0]])
    series[f"line.{name}"] = {"x": sizes, "y": line, "unit": "ratio"}
for kind in ("epochs", "updates"):
    keys = [f"{kind}_to_target.{size}" for size in TARGET_SIZES]
    put_series(kind, TARGET_SIZES, keys)
keys = [
    None if size == REFERENCE_BATCH_SIZE else f"seconds_to_target.{size}"
    for size in TARGET_SIZES
]
put_series("seconds", TARGET_SIZES, keys)
for kind in ("time", "cost"):
    keys = [f"{kind}_shared.{devices}" for devices in DEVICES]
    put_series(f"{kind}_shared", DEVICES, keys)

results = {"values": values, "judgements": judgements, "series": series}
