# %% [markdown]
# # Feeding the device (PyTorch)
#
# Measures how many examples per second training takes in when its batches
# are loaded plainly, ahead of time, by several workers, from a cache, or
# from memory as a whole, against batch size.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the second core is left to the worker.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import multiprocessing
import random
import time
import zlib

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    default_collate,
    default_convert,
)

from snippets.measure_input_share import measure_input_share

# %% [markdown]
# ## Settings
#
# The device is found. `SHORT = True` gives a run of seconds, to see it work;
# its numbers mean nothing.

# %%
SHORT = False

NUM_EXAMPLES = 512
NUM_CLASSES = 10
# Height and width of a packed image and of what is cut out of it, in pixels.
IMAGE_SIZE = 256
CROP_SIZE = 16
# An image is made of squares of so many pixels, so that it packs well.
SQUARE_SIZE = 4
# Inputs of the network, one for each pixel.
NUM_FEATURES = 256
# Units of the hidden layer: an update is quick, or costs about as much as
# loading.
WIDTHS = {"small": 64, "wide": 4096}
LEARNING_RATE = 0.01
BATCH_SIZES = [1, 8, 64, 256]
# From here on to the largest, what more examples per batch bring.
SMALL_SIZE = 8
# The batch size of the wide network, and of what happens once per epoch.
MIDDLE_SIZE = 64
# Batches in a timed block, by batch size.
NUM_BATCHES = {1: 16, 8: 12, 64: 6, 256: 2}
# Updates in a block with the batch in memory.
NUM_READY = {1: 32, 8: 32, 64: 16, 256: 12}
WAYS = ["plain", "ahead", "workers", "cached", "whole"]
NUM_WORKERS = {"cpu": 2, "gpu": 8}
# Batches that each worker holds ready.
PREFETCH = 2
NUM_REPEATS = 3 if SHORT else 10
# Repeats of what happens once per epoch.
NUM_FIRST = 2 if SHORT else 10
# Epochs in which a batch is looked at again.
NUM_EPOCHS = 4
SEED = 600
# Above this ratio of the loop's time to that with the batches in memory, the
# loader is the limit. "Clearly" more is more than the factor. Set beforehand.
LIMIT_RATIO = 1.2
MARGIN_FACTOR = 1.5
# A rule holds if the loop is no further from it than by this factor. Wide,
# for the worker and the network share memory and caches.
RULE_FACTOR = 4.0

# %% [markdown]
# ## Device

# %%
on_gpu = torch.cuda.is_available()
device = torch.device("cuda" if on_gpu else "cpu")
machine = "gpu" if on_gpu else "cpu"
wait = torch.cuda.synchronize if on_gpu else None
# Workers that share this program's memory: what stands in a notebook's cell
# cannot be started otherwise. Windows has no such workers.
can_fork = "fork" in multiprocessing.get_all_start_methods()
ways = [w for w in WAYS if can_fork or w not in ("ahead", "workers")]

# %% [markdown]
# ## Data
#
# Packed images, as files would be: they are unpacked and cut at random each
# time that they are loaded.

# %%
numbers = np.random.default_rng(SEED)
labels = numbers.integers(NUM_CLASSES, size=NUM_EXAMPLES)
num_squares = IMAGE_SIZE // SQUARE_SIZE
images = numbers.integers(
    256, size=(NUM_EXAMPLES, num_squares, num_squares), dtype="uint8"
)
images = images.repeat(SQUARE_SIZE, axis=1).repeat(SQUARE_SIZE, axis=2)
packed = [zlib.compress(image.tobytes()) for image in images]
print("bytes of a packed image:", int(np.mean([len(each) for each in packed])))


def unpack(image):
    pixels = np.frombuffer(zlib.decompress(image), np.uint8)
    return pixels.reshape(IMAGE_SIZE, IMAGE_SIZE)


def crop(image, draw=random.randrange):
    """A square of it at a random place, one row of numbers from 0 to 1."""
    places = IMAGE_SIZE - CROP_SIZE + 1
    top, left = draw(places), draw(places)
    part = image[top : top + CROP_SIZE, left : left + CROP_SIZE]
    return part.astype("float32").ravel() / 255


class Images(Dataset):
    """One example at a time; keeps "images" or "crops" once it has them."""

    def __init__(self, keep=None):
        self.keep, self.kept = keep, {}
        self.draw = random.randrange
        # Shared, so that workers count too.
        self.num_unpacked = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self):
        return NUM_EXAMPLES

    def load(self, index):
        if index in self.kept:
            return self.kept[index]
        image = unpack(packed[index])
        if self.keep == "crops":
            image = crop(image, self.draw)
        if self.keep:
            self.kept[index] = image
            self.num_unpacked += 1
        return image

    def __getitem__(self, index):
        image = self.load(index)
        if self.keep != "crops":
            image = crop(image, self.draw)
        return image, labels[index]


class Batches(Images):
    """A whole batch at once, by one gather from images that lie unpacked.

    For a loader with collate_fn=default_convert.
    """

    def __getitems__(self, indices):
        places = IMAGE_SIZE - CROP_SIZE + 1
        corners = np.random.randint(places, size=(2, len(indices), 1))
        rows, columns = corners + np.arange(CROP_SIZE)
        number = np.array(indices)[:, None, None]
        parts = images[number, rows[:, :, None], columns[:, None]]
        flat = parts.reshape(len(indices), -1).astype("float32") / 255
        return flat, labels[indices]


# %% [markdown]
# ## Loaders


# %%
def make_batches(way, size, keep=None, endless=False, shuffle=True):
    """A loader; an endless one draws one shuffled epoch after the other."""
    if way == "cached":
        keep = "images"
    data = Batches() if way == "whole" else Images(keep)
    more = {"shuffle": shuffle}
    if endless:
        more = {"sampler": RandomSampler(data, num_samples=10**9)}
    if way in ("ahead", "workers"):
        more |= {
            "num_workers": 1 if way == "ahead" else NUM_WORKERS[machine],
            "prefetch_factor": PREFETCH,
            "multiprocessing_context": "fork",
        }
    return DataLoader(
        data,
        size,
        collate_fn=default_convert if way == "whole" else default_collate,
        # A GPU copies from pinned memory while it computes.
        pin_memory=on_gpu,
        **more,
    )


def begin(batches):
    return iter(batches)


def count_updates(size):
    """Updates of one epoch."""
    return len(make_batches("plain", size))


def count_unpacked(way, keep=None):
    """Images that the second epoch unpacks; kept ones are counted."""
    batches = make_batches(way, MIDDLE_SIZE, keep)
    counts = []
    for _ in range(2):
        for _ in batches:
            pass
        counts.append(int(batches.dataset.num_unpacked))
    return counts[1] - counts[0]


def first_inputs(keep=None, seeded=False, generator=False):
    """Inputs of the first batch in each of several epochs, in one order."""
    if seeded:
        random.seed(SEED)
        torch.manual_seed(SEED)
    batches = make_batches("plain", MIDDLE_SIZE, keep, shuffle=False)
    if generator:
        batches.dataset.draw = random.Random(SEED).randrange
    return [next(begin(batches))[0].numpy() for _ in range(NUM_EPOCHS)]


# %% [markdown]
# ## Networks


# %%
def build_model(seed, width=WIDTHS["small"]):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, width),
        nn.ReLU(),
        nn.Linear(width, NUM_CLASSES),
    )
    for layer in (model[0], model[2]):
        # As Keras begins.
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return model


def make_update(name):
    """update(batch), which trains a network on one batch."""
    model = build_model(SEED, WIDTHS[name]).to(device)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)
    loss_function = nn.CrossEntropyLoss()

    def update(batch):
        x, y = (each.to(device, non_blocking=True) for each in batch)
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()

    return update


# %% [markdown]
# ## Measure
#
# The loops run side by side and take turns in random order: a block of one,
# then as many updates with its last batch, which lies in memory by then.

# %%
jobs = [("small", size, way) for size in BATCH_SIZES for way in ways]
wide_jobs = [("wide", MIDDLE_SIZE, w) for w in ("plain", "ahead") if w in ways]
jobs += wide_jobs
updates_per_epoch = {size: count_updates(size) for size in BATCH_SIZES}
updates = {name: make_update(name) for name in WIDTHS}
running = {
    (name, size, way): begin(make_batches(way, size, endless=True))
    for name, size, way in jobs
}


def skip(way):
    """Batches that may lie ready when a block begins."""
    workers = {"ahead": 1, "workers": NUM_WORKERS[machine]}.get(way, 0)
    return workers * PREFETCH


def measure(job):
    """Seconds per batch of the loop, and of updates from memory."""
    name, size, way = job
    found = measure_input_share(
        running[job],
        updates[name],
        num_batches=NUM_BATCHES[size],
        num_repeats=1,
        num_skipped=skip(way),
        # Where workers fill up again meanwhile, it is not used.
        num_ready=NUM_READY[size] if way == "plain" else 1,
        wait=wait,
    )
    return found["seconds"][0], found["ready_seconds"][0]


def load_seconds(batches, count):
    """Seconds to fetch so many batches, without updates."""
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - start


# Fill the caches, start the workers, trace the networks.
for job in jobs:
    if job[2] == "cached":
        load_seconds(running[job], updates_per_epoch[job[1]])
    measure(job)

order = np.random.default_rng(SEED)
loop, ready = {job: [] for job in jobs}, {job: [] for job in jobs}
# Loading alone, without updates.
load = {job: [] for job in jobs if job[2] in ("plain", "cached", "whole")}
# Twice, for what differs less.
turns = jobs + wide_jobs
gc.disable()
for _ in range(NUM_REPEATS):
    for number in order.permutation(len(turns)):
        job = turns[number]
        for kept, seconds in zip((loop, ready), measure(job)):
            kept[job].append(seconds)
        if job in load:
            # What is quicker takes more batches to time.
            count = NUM_BATCHES[job[1]] * (1 if job[2] == "plain" else 3)
            load[job].append(load_seconds(running[job], count) / count)
gc.enable()
# This ends the workers.
running.clear()

# %% [markdown]
# What happens once: the first batch of an epoch, with workers started anew,
# and the epoch that fills a cache.

# %%
first = {way: [] for way in ("plain", "ahead") if way in ways}
epochs = {"plain": [], "filling": [], "later": []}


def first_seconds(batches):
    """Seconds until the first batch, and the iterator."""
    start = time.perf_counter()
    iterator = begin(batches)
    next(iterator)
    return time.perf_counter() - start, iterator


def epoch_seconds(batches):
    seconds, iterator = first_seconds(batches)
    return seconds + load_seconds(iterator, len(batches) - 1)


for _ in range(NUM_FIRST):
    for way, kept in first.items():
        # The iterator is kept while the clock runs: its end takes time too.
        seconds, iterator = first_seconds(make_batches(way, MIDDLE_SIZE))
        kept.append(seconds)
        del iterator
    cached = make_batches("cached", MIDDLE_SIZE)
    for name, batches in (
        ("plain", make_batches("plain", MIDDLE_SIZE)),
        ("filling", cached),
        ("later", cached),
    ):
        epochs[name].append(epoch_seconds(batches))

unpacked_again = {
    "cached": count_unpacked("cached"),
    "cached_ahead": count_unpacked("ahead", "images")
    if "ahead" in ways
    else None,
}
# Whether a batch of the same examples comes with other crops in each epoch.
changes = {}
for name, how in (
    ("unseeded", {}),
    ("images_kept", {"keep": "images"}),
    ("crops_kept", {"keep": "crops"}),
    ("generator", {"generator": True}),
    # Last, for a seed stays.
    ("seeded", {"seeded": True}),
):
    inputs = first_inputs(**how)
    changes[name] = sum(
        not np.array_equal(inputs[0], later) for later in inputs[1:]
    )

# %% [markdown]
# ## Compare
#
# Ratios of times pair the repeats; their median is reported. All that a clock
# gave is marked as timing.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}


def put_ratio(key, over, under, unit="ratio"):
    """Store over / under, pair by pair; None where one was not measured.

    The median, and an interval between two of the ratios whatever their
    distribution: a few repeats that something else disturbed do not move it.
    """
    values[key] = {"unit": unit, "timing": True}
    if over is None or under is None:
        why = "this system cannot start workers that share the memory"
        values[key] |= {"value": None, "reason": why}
        return
    ratios = np.sort(np.asarray(over) / np.asarray(under))
    count = len(ratios)
    # So many lie below the median of all by chance in one of forty.
    rank = max(1, int(stats.binom.ppf(0.025, count, 0.5)))
    values[key] |= {"value": np.median(ratios), "n": count} | FEW
    values[key] |= {"ci": [ratios[rank - 1], ratios[-rank]]}


def put_exact(key, value, unit):
    values[key] = {"value": value, "unit": unit}
    if value is None:
        values[key] |= {"reason": "this system cannot start such workers"}
    else:
        values[key] |= {"exact": True}


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def of(found, *job):
    """Times of a job as an array, or None if it was not measured."""
    return np.array(found[job]) if job in found else None


def rate_of(found, *job):
    seconds = of(found, *job)
    return None if seconds is None else job[1] / seconds


def put_rule(key, name, size, way, rule):
    """Store the loop's time over what the rule makes of its two parts."""
    made = rule(of(load, name, size, "plain"), of(ready, name, size, "plain"))
    put_ratio(key, of(loop, name, size, way), made)


smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
for size in BATCH_SIZES:
    put_exact(f"updates_per_epoch.{size}", updates_per_epoch[size], "updates")
    plain, update = (
        of(found, "small", size, "plain") for found in (loop, ready)
    )
    loading = of(load, "small", size, "plain")
    put_ratio(f"load_over_update.{size}", loading, update)
    put_rule(f"sum_rule.{size}", "small", size, "plain", np.add)
    put_rule(f"maximum_rule.{size}", "small", size, "ahead", np.maximum)
    start = rate_of(loop, "small", smallest, "plain")
    put_ratio(f"rate.ready.{size}", size / update, start)
    for way in WAYS:
        seconds = of(loop, "small", size, way)
        put_ratio(f"ratio.{way}.{size}", seconds, update)
        put_ratio(
            f"rate.{way}.{size}", rate_of(loop, "small", size, way), start
        )
        if way != "plain":
            put_ratio(f"gain.{way}.{size}", plain, seconds)
    # How much quicker the loading itself becomes.
    cached, whole = (of(load, "small", size, w) for w in ("cached", "whole"))
    put_ratio(f"load_gain.cached.{size}", loading, cached)
    put_ratio(f"load_gain.whole.{size}", cached, whole)
for way in ["ready", *WAYS]:
    found, name = (ready, "plain") if way == "ready" else (loop, way)
    put_ratio(
        f"larger.{way}",
        rate_of(found, "small", largest, name),
        rate_of(found, "small", SMALL_SIZE, name),
    )
# The size from which loading takes longer than the update: both grow in
# proportion to the examples, but an update has a fixed cost as well.
small, large = (
    of(ready, "small", size, "plain") for size in (smallest, largest)
)
each = (large - small) / (largest - smallest)
per_example = of(load, "small", largest, "plain") / largest
put_ratio("limit_size", small - each, per_example - each, "examples")

plain, update, loading, ahead = (
    of(found, "wide", MIDDLE_SIZE, way)
    for found, way in (
        (loop, "plain"),
        (ready, "plain"),
        (load, "plain"),
        (loop, "ahead"),
    )
)
put_ratio("wide.load_over_update", loading, update)
put_ratio("wide.ratio.plain", plain, update)
put_ratio("wide.ratio.ahead", ahead, update)
put_ratio("wide.gain.ahead", plain, ahead)
put_rule("wide.sum_rule", "wide", MIDDLE_SIZE, "plain", np.add)
put_rule("wide.maximum_rule", "wide", MIDDLE_SIZE, "ahead", np.maximum)

put_ratio("first_batch.ahead", first.get("ahead"), first["plain"])
put_ratio("epoch.filling", epochs["filling"], epochs["plain"])
put_ratio("epoch.later", epochs["later"], epochs["plain"])
for name, count in unpacked_again.items():
    put_exact(f"unpacked_again.{name}", count, "images")
for name, count in changes.items():
    put_exact(f"epochs_that_differ.{name}", count, "epochs")

for key, entry in values.items():
    if entry["value"] is not None:
        interval = [f"{end:.4g}" for end in entry.get("ci", [])]
        print(f"{key:28}{entry['value']:12.4g}", *interval)

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side of the margin.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def judge_more(name, margin, *keys):
    judge(name, all(low(key) > margin for key in keys), *keys)


def judge_near(name, *keys):
    near = [
        low(key) > 1 / RULE_FACTOR and high(key) < RULE_FACTOR for key in keys
    ]
    judge(name, all(near), *keys)


large_sizes = [size for size in BATCH_SIZES if size >= MIDDLE_SIZE]
judge_more(
    "loader_is_the_limit",
    LIMIT_RATIO,
    *[f"ratio.plain.{size}" for size in large_sizes],
)
judge(
    "larger_helps_a_fed_device_more",
    low("larger.ready") > MARGIN_FACTOR * values["larger.plain"]["value"],
    "larger.ready",
    "larger.plain",
)
judge_near("the_sum_rule_holds", f"sum_rule.{largest}", "wide.sum_rule")
judge_near("the_maximum_rule_holds", f"maximum_rule.{largest}")
key = f"gain.ahead.{smallest}"
judge("ahead_slows_one_example", high(key) < 1 / LIMIT_RATIO, key)
judge_more("whole_helps", 1, f"gain.whole.{MIDDLE_SIZE}")
judge_more("cached_helps", 1, f"gain.cached.{largest}")
judge_more("first_batch_waits_for_workers", MARGIN_FACTOR, "first_batch.ahead")
key = "unpacked_again.cached_ahead"
judge("a_cache_survives_the_worker", values[key]["value"] == 0, key)
for name, kept in (
    ("a_cache_behind_the_crop_freezes_it", "crops_kept"),
    ("a_seed_freezes_the_crop", "seeded"),
):
    key = f"epochs_that_differ.{kept}"
    judge(name, values[key]["value"] == 0, key)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, kind):
    entries = [values[f"{kind}.{size}"] for size in BATCH_SIZES]
    ends = [entry.get("ci") or [None, None] for entry in entries]
    series[name] = {
        "x": BATCH_SIZES,
        "y": [entry["value"] for entry in entries],
        "low": [end[0] for end in ends],
        "high": [end[1] for end in ends],
        "unit": "ratio",
    }


for way in ["ready", *WAYS]:
    put_series(f"rate.{way}", f"rate.{way}")
for way in WAYS:
    put_series(f"ratio.{way}", f"ratio.{way}")
for rule in ("sum_rule", "maximum_rule"):
    put_series(rule, rule)

results = {"values": values, "judgements": judgements, "series": series}
