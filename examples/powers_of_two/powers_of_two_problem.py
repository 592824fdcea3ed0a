# %% [markdown]
# ## Settings
#
# A GPU also gets a wide network, since small ones cannot keep it busy, and
# mixed precision. `SHORT = True` gives a run of seconds, to see it work; its
# numbers mean nothing.

# %%
import gc
import time

import numpy as np

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
GPU_WIDTHS = {"wide_mlp": 4096}
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

# %% [markdown]
# ## Data
#
# Only time is measured, so the data are random.


# %%
def draw_batch(batch_size, shape):
    """Inputs [batch_size, *shape] and labels."""
    random = np.random.default_rng(SEED)
    x = random.normal(size=(batch_size, *shape)).astype("float32")
    return x, random.integers(NUM_CLASSES, size=batch_size)


# %% [markdown]
# ## What to compare
#
# A group is a power of two with its four neighbours: the batch size of a
# network, or the width of the perceptron at one batch size.


# %%
def groups_of(machine, make_updates):
    """{(name, power of two): {size: the update to be timed}}.

    make_updates: (network, width, precision) -> a function of the batch size
        that gives the update.
    """
    steps = [-NEXT_MULTIPLE, -NEXT, 0, NEXT, NEXT_MULTIPLE]
    widths = WIDTHS | (GPU_WIDTHS if machine == "gpu" else {})
    groups = {}
    for precision in PRECISIONS[machine]:
        ending = "" if precision == "float32" else f"_{precision}"
        for name, width in widths.items():
            update_of = make_updates(name, width, precision)
            for size in SIZES:
                groups[name + ending, size] = {
                    size + step: update_of(size + step) for step in steps
                }
        for size in STUDIED_WIDTHS[machine]:
            groups["width" + ending, size] = {
                size + step: make_updates("mlp", size + step, precision)(
                    WIDTH_BATCH_SIZE[machine]
                )
                for step in steps
            }
    return groups


# %% [markdown]
# ## In which order to time
#
# In each block every size of every group has its turn, those of a group one
# after the other in random order, so that a slow moment falls on all of them.


# %%
def time_groups(groups, wait):
    """{(name, power of two): {size: seconds of an update, of each block}}.

    wait: until the device has done all it was given.
    """

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
    return seconds
