# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import gc
import time
import zlib

import numpy as np

from snippets.measure_input_share import measure_input_share

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
# Epochs in which a batch is looked at again.
NUM_EPOCHS = 4
SEED = 600

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

# %% [markdown]
# ## Which loops to time
#
# All loops run side by side and take turns in random order: a block of one,
# then as many updates with its last batch, which lies in memory by then.


# %%
# (network, batch size, way of loading) of each loop.
JOBS = [("small", size, way) for size in BATCH_SIZES for way in WAYS]
JOBS += [("wide", MIDDLE_SIZE, "plain"), ("wide", MIDDLE_SIZE, "ahead")]


def load_seconds(batches, count):
    """Seconds to fetch so many batches, without updates."""
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - start


def take_turns(running, updates, num_workers, wait=None):
    """Seconds per batch, a list for each job: of the loop, from memory, alone.

    The second has its batch in memory, the last has no updates.
    running: {job: iterator over batches without end}.
    updates: {network: function that trains it on a batch}.
    num_workers: of the way that has several.
    wait: see measure_input_share.
    """

    def measure(job):
        name, size, way = job
        workers = {"ahead": 1, "workers": num_workers}.get(way, 0)
        found = measure_input_share(
            running[job],
            updates[name],
            num_batches=NUM_BATCHES[size],
            num_repeats=1,
            # What may lie ready when a block begins.
            num_skipped=workers * PREFETCH,
            # Where workers fill up again meanwhile, it is not used.
            num_ready=NUM_READY[size] if way == "plain" else 1,
            wait=wait,
        )
        loop[job].append(found["seconds"][0])
        ready[job].append(found["ready_seconds"][0])

    def measure_loading(job):
        _, size, way = job
        if way == "plain" or (
            way in ("cached", "whole") and size == MIDDLE_SIZE
        ):
            # What is quicker takes more batches to time.
            count = NUM_BATCHES[size] * (1 if way == "plain" else 3)
            load[job].append(load_seconds(running[job], count) / count)

    loop, ready, load = ({job: [] for job in running} for _ in range(3))
    # Fill the caches, start the workers, trace the networks.
    for job, batches in running.items():
        if job[2] == "cached":
            load_seconds(batches, -(-NUM_EXAMPLES // job[1]))
        measure(job)
        loop[job].clear()
        ready[job].clear()
    # Twice, for what differs less.
    turns = [*running, *(job for job in running if job[0] == "wide")]
    order = np.random.default_rng(SEED)
    gc.disable()
    for _ in range(NUM_REPEATS):
        for number in order.permutation(len(turns)):
            measure(turns[number])
            measure_loading(turns[number])
    gc.enable()
    return loop, ready, load


# %% [markdown]
# ## What happens once per epoch
#
# The first batch, with workers started anew; then what is cut anew.


# %%
def time_first_batches(make_batches, begin):
    """Seconds until the first batch, {"plain" and "ahead": [repeats]}.

    make_batches: (way, batch size) -> batches of an epoch.
    begin: batches -> iterator over them.
    """
    first = {"plain": [], "ahead": []}
    for _ in range(NUM_REPEATS):
        for way, kept in first.items():
            batches = make_batches(way, MIDDLE_SIZE)
            start = time.perf_counter()
            iterator = begin(batches)
            next(iterator)
            kept.append(time.perf_counter() - start)
            # Only now, for its end takes time too.
            del iterator
    return first


def count_new_crops(batches, begin):
    """Epochs after the first whose first batch comes with other crops."""
    inputs = [np.array(list(begin(batches))[0][0]) for _ in range(NUM_EPOCHS)]
    return sum(not np.array_equal(inputs[0], later) for later in inputs[1:])
