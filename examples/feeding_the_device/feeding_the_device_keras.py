# %% [markdown]
# # Feeding the device (Keras)
#
# Measures how many examples per second training takes in when its batches
# are loaded plainly, ahead of time, by several workers, from a cache, or
# from memory as a whole, against batch size.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the second core is left to the worker.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import gc
import time
import zlib

import keras
import numpy as np

# For its tf.data, whichever backend trains.
import tensorflow as tf
from scipy import stats

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
backend = keras.backend.backend()
if backend == "tensorflow":
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
elif backend == "torch":
    import torch

    on_gpu = torch.cuda.is_available()
else:
    raise ValueError(f"this program has no path for the {backend} backend")
machine = "gpu" if on_gpu else "cpu"
# Each update brings its loss back, so the device is done when it returns.
wait = None
# The threads of tf.data run everywhere.
ways = WAYS

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
with tf.device("CPU"):
    num_unpacked = tf.Variable(0, dtype="int64")
    unpacked = tf.constant(images)


def unpack(image, label):
    pixels = tf.io.decode_raw(tf.io.decode_compressed(image, "ZLIB"), "uint8")
    return tf.reshape(pixels, [IMAGE_SIZE, IMAGE_SIZE]), label


def count_and_unpack(image, label):
    num_unpacked.assign_add(1)
    return unpack(image, label)


def crop(image, label, draw=tf.random.uniform):
    """A square of it at a random place, one row of numbers from 0 to 1."""
    places = IMAGE_SIZE - CROP_SIZE + 1
    corner = draw([2], maxval=places, dtype="int32")
    part = tf.slice(image, corner, [CROP_SIZE, CROP_SIZE])
    return tf.reshape(tf.cast(part, "float32"), [-1]) / 255, label


def gather(indices):
    """A whole batch at once, from images that lie unpacked."""
    places, count = IMAGE_SIZE - CROP_SIZE + 1, tf.shape(indices)[0]
    corners = tf.random.uniform([2, count, 1], 0, places, dtype="int32")
    rows, columns = tf.unstack(corners + tf.range(CROP_SIZE))
    where = tf.broadcast_to(
        indices[:, None, None], [count, CROP_SIZE, CROP_SIZE]
    )
    rows = tf.broadcast_to(rows[:, :, None], tf.shape(where))
    columns = tf.broadcast_to(columns[:, None], tf.shape(where))
    parts = tf.gather_nd(unpacked, tf.stack([where, rows, columns], -1))
    flat = tf.reshape(tf.cast(parts, "float32"), [count, NUM_FEATURES])
    return flat / 255, tf.gather(labels, indices)


# %% [markdown]
# ## Loaders


# %%
def make_batches(
    way,
    size,
    keep=None,
    endless=False,
    shuffle=True,
    draw=tf.random.uniform,
):
    """A tf.data.Dataset; an endless one draws one epoch after the other."""
    if way == "cached":
        keep = "images"
    parallel = NUM_WORKERS[machine] if way == "workers" else None
    data = tf.data.Dataset.from_tensor_slices((packed, labels))
    if way == "whole":
        data = tf.data.Dataset.from_tensor_slices(range(NUM_EXAMPLES))
    if keep:
        data = data.map(count_and_unpack)
        if keep == "crops":
            data = data.map(lambda image, label: crop(image, label, draw))
        data = data.cache()
    if shuffle:
        data = data.shuffle(NUM_EXAMPLES)
    if endless:
        data = data.repeat()
    if way == "whole":
        data = data.batch(size).map(gather)
    else:
        if not keep:
            data = data.map(unpack, num_parallel_calls=parallel)
        if keep != "crops":
            data = data.map(
                lambda image, label: crop(image, label, draw),
                num_parallel_calls=parallel,
            )
        data = data.batch(size)
    if way in ("ahead", "workers"):
        data = data.prefetch(PREFETCH)
    options = tf.data.Options()
    # Else TensorFlow fetches ahead where it was not told to: it joins map and
    # batch, and then loads the next batch while this one is used.
    options.experimental_optimization.apply_default_optimizations = False
    # Threads of its own, so that it does not wait for those of the network.
    options.threading.private_threadpool_size = NUM_WORKERS[machine]
    return data.with_options(options)


def begin(batches):
    return batches.as_numpy_iterator()


def count_updates(size):
    """Updates of one epoch."""
    return int(make_batches("plain", size).cardinality())


def count_unpacked(way, keep=None):
    """Images that the second epoch unpacks; kept ones are counted."""
    batches = make_batches(way, MIDDLE_SIZE, keep)
    counts = []
    for _ in range(2):
        for _ in begin(batches):
            pass
        counts.append(int(num_unpacked))
    return counts[1] - counts[0]


def first_inputs(keep=None, seeded=False, generator=False):
    """Inputs of the first batch in each of several epochs, in one order."""
    if seeded:
        keras.utils.set_random_seed(SEED)
    draw = tf.random.uniform
    if generator:
        # It keeps its state from epoch to epoch.
        draw = tf.random.Generator.from_seed(SEED).uniform
    batches = make_batches("plain", MIDDLE_SIZE, keep, shuffle=False, draw=draw)
    return [list(begin(batches))[0][0] for _ in range(NUM_EPOCHS)]


# %% [markdown]
# ## Networks


# %%
def build_model(seed, width=WIDTHS["small"]):
    # Not set_random_seed, which would also fix the crops: see below.
    first, second = (
        keras.initializers.GlorotUniform(2 * seed + layer) for layer in (0, 1)
    )
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(
                width, activation="relu", kernel_initializer=first
            ),
            keras.layers.Dense(NUM_CLASSES, kernel_initializer=second),
        ]
    )


def make_update(name):
    """update(batch), which trains a network on one batch."""
    model = build_model(SEED, WIDTHS[name])
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def update(batch):
        model.train_on_batch(*batch)

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
