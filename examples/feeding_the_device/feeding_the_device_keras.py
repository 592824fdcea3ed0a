# %% [markdown]
# # Feeding the device (Keras)
#
# Measures how many examples per second training takes in when its batches
# are loaded plainly, ahead of time, by several workers, from a cache, or
# from memory as a whole, against batch size.
#
# - Install: `pip install keras tensorflow scipy`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the second core is left to the worker.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras

# For its tf.data, whichever backend trains.
import tensorflow as tf

from feeding_the_device_findings import feeding_the_device_findings
from feeding_the_device_problem import *

# %% [markdown]
# ## Examples
#
# One at a time, unpacked and cut at random; or a whole batch by one gather
# from images that lie unpacked.

# %%
on_gpu = bool(tf.config.list_physical_devices("GPU"))
num_workers = NUM_WORKERS["gpu" if on_gpu else "cpu"]
with tf.device("CPU"):
    num_unpacked = tf.Variable(0, dtype="int64")
    unpacked = tf.constant(images)


def unpack(image, label):
    pixels = tf.io.decode_raw(tf.io.decode_compressed(image, "ZLIB"), "uint8")
    return tf.reshape(pixels, [IMAGE_SIZE, IMAGE_SIZE]), label


def count_and_unpack(image, label):
    num_unpacked.assign_add(1)
    return unpack(image, label)


def crop(image, label, draw):
    """A square of it at a random place, one row of numbers from 0 to 1."""
    places = IMAGE_SIZE - CROP_SIZE + 1
    corner = draw([2], maxval=places, dtype="int32")
    part = tf.slice(image, corner, [CROP_SIZE, CROP_SIZE])
    return tf.reshape(tf.cast(part, "float32"), [-1]) / 255, label


def gather(indices):
    """A whole batch at once."""
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
#
# An endless one draws one shuffled epoch after the other.


# %%
def begin(batches):
    return batches.as_numpy_iterator()


def make_batches(
    way,
    size,
    endless=False,
    keep=None,
    draw=tf.random.uniform,
    shuffle=True,
):
    """A tf.data.Dataset; keeps "images" or "crops" once it has them."""
    if way == "cached":
        keep = "images"
    parallel = num_workers if way == "workers" else None
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
    options.threading.private_threadpool_size = num_workers
    return data.with_options(options)


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


def make_update(width):
    """update(batch), which trains a network on one batch."""
    model = build_model(SEED, width)
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda batch: model.train_on_batch(*batch)


# %% [markdown]
# ## Time the loops
#
# Each update brings its loss back, so the device is done when it returns, and
# the clock need not wait.

# %%
running = {
    job: begin(make_batches(job[2], job[1], endless=True)) for job in JOBS
}
updates = {name: make_update(width) for name, width in WIDTHS.items()}
loop, ready, load = take_turns(running, updates, num_workers)
running.clear()
first = time_first_batches(make_batches, begin)

# %% [markdown]
# ## Count what the second of two epochs unpacks again

# %%
batches = make_batches("ahead", MIDDLE_SIZE, keep="images")
num_unpacked.assign(0)
for _ in range(2):
    for _ in begin(batches):
        pass
unpacked_again = int(num_unpacked) - NUM_EXAMPLES

# %% [markdown]
# ## Count the epochs with new crops
#
# The order is fixed, so that a batch holds the same examples in each epoch. A
# generator keeps its state from epoch to epoch.


# %%
def count_with(**how):
    batches = make_batches("plain", MIDDLE_SIZE, shuffle=False, **how)
    return count_new_crops(batches, begin)


new_crops = {
    "images_kept": count_with(keep="images"),
    "crops_kept": count_with(keep="crops"),
    "generator": count_with(draw=tf.random.Generator.from_seed(SEED).uniform),
}
# Last, for a seed stays.
keras.utils.set_random_seed(SEED)
new_crops["seeded"] = count_with()

# %% [markdown]
# ## What was found

# %%
results = feeding_the_device_findings(
    loop, ready, load, first, unpacked_again, new_crops
)
