# %% [markdown]
# # Mistakes in choosing and comparing batch sizes (PyTorch)
#
# Fifteen mistakes: for each a short run that fails, and one that does not.
#
# - Install: `pip install torch scikit-learn scipy`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import math
import time

import torch
from torch import nn

from comparison_mistakes_findings import comparison_mistakes_findings
from comparison_mistakes_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## All seeds at once
#
# `train_rates_torch` trains what needs an interval.


# %%
def build_model(seed, features=NUM_FEATURES, classes=NUM_CLASSES):
    return build_mlp_torch([features, HIDDEN_UNITS, classes], seed)


def tensors(x, y):
    return torch.tensor(x), torch.tensor(y).long()


def train_rates(seeds, shape, rates, x, y, phases, looks, check, **options):
    models = [build_model(seed, *shape) for seed in seeds]
    check = {name: tensors(*part) for name, part in check.items()}
    return train_rates_torch(
        models, rates, *tensors(x, y), phases, looks, check, **options
    )


train = partial(train_all, train_rates)
runs = run_all(train)
race = race_to_target(train)

# %% [markdown]
# ## Plain training
#
# What the short runs call: one network, one data set.

# %%
torch.manual_seed(FIRST_SEED)
x_one, y_one = tensors(x_one, y_one)


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
# %% [markdown]
# ## Keep the learning rate, and compare at equal epochs
#
# The first of each pair of functions makes the mistake, the second does not.


# %%
# --8<-- [start:keep_the_rate]
def keep_the_rate(batch_size):
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    return fit(model, optimizer, batch_size, NUM_EPOCHS)


# --8<-- [end:keep_the_rate]
# --8<-- [start:equal_updates]
def equal_updates(batch_size, num_updates):
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    num_epochs = round(num_updates / count_updates(NUM_TRAIN, batch_size))
    return fit(model, optimizer, batch_size, num_epochs)


# --8<-- [end:equal_updates]
# --8<-- [start:scale_the_rate]
def scale_the_rate(batch_size):
    model = build_model(FIRST_SEED)
    # A first guess for SGD and momentum; for Adam, take the factor's root.
    rate = RATE * batch_size / SMALL
    optimizer = torch.optim.SGD(model.parameters(), rate, MOMENTUM)
    return fit(model, optimizer, batch_size, NUM_EPOCHS)


# --8<-- [end:scale_the_rate]
print("training losses:", keep_the_rate(LARGE), scale_the_rate(LARGE))
print("after forty updates:", equal_updates(LARGE, 40))

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
torch.manual_seed(FIRST_SEED)
model = build_model(FIRST_SEED)
optimizer = torch.optim.SGD(model.parameters(), RATE)
print("the last batch's loss:", read_last_loss(model, optimizer))
epoch_losses = [average_the_loss(model, optimizer) for _ in range(LAST_EPOCHS)]

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
def build_anew(batch_size):
    # A new model and a new optimizer for each size.
    model = build_model(FIRST_SEED)
    rate = RATE * batch_size / SMALL
    optimizer = torch.optim.SGD(model.parameters(), rate, MOMENTUM)
    return fit(model, optimizer, batch_size, REUSED_EPOCHS)


# --8<-- [end:build_anew]
print(reuse_the_model([SMALL, LARGE]), "and anew:", build_anew(LARGE))

# %% [markdown]
# ## Give a schedule in the wrong unit: the rates, without training


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
schedules = {name: fixed_milestone(*each) for name, each in milestones.items()}

# %% [markdown]
# ## Time each size to a target, at the best rate of its grid


# %%
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
for size, rate in best_rates(race).items():
    print(size, "(epochs, seconds):", time_to_target(size, rate))

# %% [markdown]
# ## Time what happens only once


# %%
# --8<-- [start:time_first_update]
def plain_update(model, optimizer, x, y):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def one_batch():
    return x_one[:SMALL], y_one[:SMALL]


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
# Processor time, on which other programs have little influence.
first_updates = [time_first_update() for _ in range(NUM_TIMED)]
later_update = time_later_updates()

# %% [markdown]
# ## Time without waiting, and behind a slow loader

# %%
model = build_model(FIRST_SEED)
optimizer = torch.optim.SGD(model.parameters(), RATE)


def update(batch):
    x, y = (torch.as_tensor(each) for each in batch)
    plain_update(model, optimizer, x, y.long())


clocks = time_clocks(update)

# %% [markdown]
# ## What was found

# %%
results = comparison_mistakes_findings(
    runs, race, epoch_losses, schedules, first_updates, later_update, clocks
)
