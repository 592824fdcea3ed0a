# %% [markdown]
# # Mistakes in choosing and comparing batch sizes (Keras)
#
# Fifteen mistakes: for each a short run that fails, and one that does not.
#
# - Install: `pip install keras tensorflow scikit-learn scipy`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import math
import time

import keras
import numpy as np

from comparison_mistakes_findings import comparison_mistakes_findings
from comparison_mistakes_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## All seeds at once
#
# `train_rates_keras` trains what needs an interval.


# %%
def build_model(seed, features=NUM_FEATURES, classes=NUM_CLASSES):
    return build_mlp_keras([features, HIDDEN_UNITS, classes], seed)


def train_rates(seeds, shape, *arguments, **options):
    models = [build_model(seed, *shape) for seed in seeds]
    return train_rates_keras(models, *arguments, **options)


train = partial(train_all, train_rates)
runs = run_all(train)
race = race_to_target(train)

# %% [markdown]
# ## Plain training
#
# What the short runs call: one network, one data set.

# %%
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# --8<-- [start:fit]
def fit(model, optimizer, batch_size, num_epochs):
    """Train; the loss over all training examples afterwards."""
    model.compile(optimizer, loss_function)
    model.fit(x_one, y_one, batch_size, num_epochs, verbose=0)
    return loss_of(model)


def loss_of(model):
    return float(loss_function(y_one, model(x_one)))


# --8<-- [end:fit]
# %% [markdown]
# ## Keep the learning rate, and compare at equal epochs
#
# The first of each pair of functions makes the mistake, the second does not.


# %%
# --8<-- [start:keep_the_rate]
def keep_the_rate(batch_size):
    model = build_model(FIRST_SEED)
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
    return fit(model, optimizer, batch_size, NUM_EPOCHS)


# --8<-- [end:keep_the_rate]
# --8<-- [start:equal_updates]
def equal_updates(batch_size, num_updates):
    model = build_model(FIRST_SEED)
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
    num_epochs = round(num_updates / count_updates(NUM_TRAIN, batch_size))
    return fit(model, optimizer, batch_size, num_epochs)


# --8<-- [end:equal_updates]
# --8<-- [start:scale_the_rate]
def scale_the_rate(batch_size):
    model = build_model(FIRST_SEED)
    # A first guess for SGD and momentum; for Adam, take the factor's root.
    rate = RATE * batch_size / SMALL
    optimizer = keras.optimizers.SGD(rate, MOMENTUM)
    return fit(model, optimizer, batch_size, NUM_EPOCHS)


# --8<-- [end:scale_the_rate]
print("training losses:", keep_the_rate(LARGE), scale_the_rate(LARGE))
print("after forty updates:", equal_updates(LARGE, 40))

# %% [markdown]
# ## Read the last batch's loss as the epoch's


# %%
# --8<-- [start:read_last_loss]
def read_last_loss(model):
    order = np.random.permutation(len(x_one))
    for batch in np.split(order, range(SMALL, len(x_one), SMALL)):
        loss = model.train_on_batch(x_one[batch], y_one[batch])
    return float(loss)


# --8<-- [end:read_last_loss]
# --8<-- [start:average_the_loss]
def average_the_loss(model):
    """(mean over the examples, loss of the last batch)."""
    total = 0.0
    order = np.random.permutation(len(x_one))
    for batch in np.split(order, range(SMALL, len(x_one), SMALL)):
        loss = float(model.train_on_batch(x_one[batch], y_one[batch]))
        # The last batch is smaller, so it counts for less.
        total += loss * len(batch)
    return total / len(x_one), loss


# --8<-- [end:average_the_loss]
model = build_model(FIRST_SEED)
model.compile(keras.optimizers.SGD(RATE), loss_function)
print("the last batch's loss:", read_last_loss(model))
epoch_losses = [average_the_loss(model) for _ in range(LAST_EPOCHS)]

# %% [markdown]
# ## Go from size to size with one model


# %%
# --8<-- [start:reuse_the_model]
def reuse_the_model(sizes):
    model = build_model(FIRST_SEED)
    losses = []
    for batch_size in sizes:
        rate = RATE * batch_size / SMALL
        optimizer = keras.optimizers.SGD(rate, MOMENTUM)
        losses.append(fit(model, optimizer, batch_size, REUSED_EPOCHS))
    return losses


# --8<-- [end:reuse_the_model]
# --8<-- [start:build_anew]
def build_anew(batch_size):
    # A new model and a new optimizer for each size.
    model = build_model(FIRST_SEED)
    rate = RATE * batch_size / SMALL
    optimizer = keras.optimizers.SGD(rate, MOMENTUM)
    return fit(model, optimizer, batch_size, REUSED_EPOCHS)


# --8<-- [end:build_anew]
print(reuse_the_model([SMALL, LARGE]), "and anew:", build_anew(LARGE))

# %% [markdown]
# ## Give a schedule in the wrong unit: the rates, without training


# %%
# --8<-- [start:fixed_milestone]
def fixed_milestone(batch_size, milestone):
    """The milestone was right for another batch size, or another unit."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        # The first value holds up to this update, and in it.
        [milestone - 1],
        [1.0, DECAY_FACTOR],
    )
    # An optimizer asks once for each update: this counts updates, not epochs.
    updates = range(count_updates(NUM_TRAIN, batch_size, NUM_EPOCHS))
    return [round(float(schedule(update)), 6) for update in updates]


# --8<-- [end:fixed_milestone]
schedules = {name: fixed_milestone(*each) for name, each in milestones.items()}

# %% [markdown]
# ## Time each size to a target, at the best rate of its grid


# %%
# --8<-- [start:time_to_target]
def time_to_target(batch_size, learning_rate):
    """(epochs, seconds) until the training loss is below the target."""
    model = build_model(FIRST_SEED)
    optimizer = keras.optimizers.SGD(learning_rate, MOMENTUM)
    # A new model: its tracing falls into the time of the first epoch.
    model.compile(optimizer, loss_function)
    start, num_epochs, loss = time.perf_counter(), 0, math.inf
    # A rate that never gets there ends here as well.
    while loss > TARGET_LOSS and num_epochs < TARGET_EPOCHS[batch_size]:
        model.fit(x_one, y_one, batch_size, epochs=1, verbose=0)
        loss = loss_of(model)
        num_epochs += 1
    return num_epochs, time.perf_counter() - start


# --8<-- [end:time_to_target]
for size, rate in best_rates(race).items():
    print(size, "(epochs, seconds):", time_to_target(size, rate))

# %% [markdown]
# ## Time what happens only once


# %%
# --8<-- [start:time_first_update]
def one_batch():
    return x_one[:SMALL], y_one[:SMALL]


def time_first_update():
    model = build_model(FIRST_SEED)
    model.compile(keras.optimizers.SGD(RATE), loss_function)
    start = time.process_time()
    model.train_on_batch(*one_batch())
    return time.process_time() - start


# --8<-- [end:time_first_update]
# --8<-- [start:time_later_updates]
def time_later_updates(num_updates=20):
    model = build_model(FIRST_SEED)
    model.compile(keras.optimizers.SGD(RATE), loss_function)
    # Not timed: it builds what the others use.
    model.train_on_batch(*one_batch())
    start = time.process_time()
    for _ in range(num_updates):
        model.train_on_batch(*one_batch())
    return (time.process_time() - start) / num_updates


# --8<-- [end:time_later_updates]
# Processor time, on which other programs have little influence.
first_updates = [time_first_update() for _ in range(NUM_TIMED)]
later_update = time_later_updates()

# %% [markdown]
# ## Time without waiting, and behind a slow loader

# %%
model = build_model(FIRST_SEED)
model.compile(keras.optimizers.SGD(RATE), loss_function)
clocks = time_clocks(lambda batch: model.train_on_batch(*batch))

# %% [markdown]
# ## What was found

# %%
results = comparison_mistakes_findings(
    runs, race, epoch_losses, schedules, first_updates, later_update, clocks
)
