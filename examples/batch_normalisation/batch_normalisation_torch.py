# %% [markdown]
# # Batch normalisation when the batch is tiny (PyTorch)
#
# Trains a small network with batch, layer, group and no normalisation, first
# with the batch of the gradient held fixed, then with both batches the same.
#
# - Install: `pip install torch scipy mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import numpy as np
import torch
from torch import nn

from batch_normalisation_findings import batch_normalisation_findings
from batch_normalisation_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.normalise_ghost_batches_torch import (
    normalise_ghost_batches_torch,
)

# %% [markdown]
# ## Network
#
# Momentum and epsilon of normalisation are the same in both frameworks, whose
# defaults differ.


# %%
x_train, y_train = torch.tensor(x_train), torch.tensor(y_train)


def build_parameters(kind, copies=1):
    """Weights of all seeds, stacked [copies * seeds, ...], for each layer."""
    models = [build_mlp_torch(LAYERS, seed) for seed in seeds]
    parameters = []
    for number in range(0, len(models[0]), 2):
        kernels = [model[number].weight.detach().T for model in models]
        kernel = torch.stack(kernels).repeat(copies, 1, 1)
        units = kernel.shape[-1]
        parameters += [kernel, torch.zeros(len(kernel), 1, units)]
        if kind != "none" and units != NUM_CLASSES:
            parameters += [
                torch.ones(len(kernel), 1, units),
                torch.zeros(len(kernel), 1, units),
            ]
    return parameters


def normalise(kind, x, gamma, beta, ghost_size):
    """(normalised, statistics), the latter of batch normalisation only."""
    if kind == "batch":
        x, *statistics = normalise_ghost_batches_torch(
            x, gamma, beta, ghost_size, EPSILON
        )
        return x, statistics
    together = x.shape[-1] if kind == "layer" else GROUP_SIZE
    groups = x.reshape(*x.shape[:-1], -1, together)
    groups = nn.functional.layer_norm(groups, (together,), eps=EPSILON)
    return groups.reshape(x.shape) * gamma + beta, []


def forward(parameters, x, kind, ghost_size, fixed=None):
    return forward_through(
        normalise, torch.relu, parameters, x, kind, ghost_size, fixed
    )


def losses(outputs, labels):
    each = nn.functional.cross_entropy(
        outputs.flatten(0, 1), labels.flatten(), reduction="none"
    )
    return each.reshape(labels.shape).mean(dim=1)


# %% [markdown]
# ## What the framework's own layer does
#
# With one example, and with the variance that it keeps for evaluation.


# %%
def one_example():
    """(refused, output is beta) for a batch of one in training mode."""
    layer = nn.BatchNorm1d(4, eps=EPSILON)
    with torch.no_grad():
        layer.bias.fill_(3.0)
    try:
        outputs = layer.train()(torch.randn(1, 4))
    except ValueError as error:
        print("a batch of one:", error)
        return True, False
    return False, bool((outputs == 3.0).all())


def kept_variance(batch_size):
    """What the layer keeps, divided by the variance that it divides by."""
    x = torch.randn(batch_size, 1, dtype=torch.float64)
    layer = nn.BatchNorm1d(1, eps=EPSILON, momentum=1.0, dtype=torch.float64)
    layer.train()(x)
    return (layer.running_var / x.var(correction=0)).item()


torch.manual_seed(FIRST_SEED)
alone, kept = one_example(), kept_variance(2)

# %% [markdown]
# ## Compare accumulated gradients
#
# Those of all seeds at once, by `backward`.


# %%
def gradients(kind, micro_batch_size):
    """[seeds, weights]: the gradient, accumulated over micro-batches."""
    parameters = [each.double() for each in build_parameters(kind)]
    for parameter in parameters:
        parameter.requires_grad_()
    for start in range(0, GRADIENT_BATCH_SIZE, micro_batch_size):
        part = slice(start, start + micro_batch_size)
        outputs, _ = forward(
            parameters, x_train[:, part].double(), kind, micro_batch_size
        )
        loss = losses(outputs, y_train[:, part]).sum()
        (loss * micro_batch_size / GRADIENT_BATCH_SIZE).backward()
    return torch.cat(
        [parameter.grad.flatten(1) for parameter in parameters], dim=1
    ).numpy()


accumulated = compare_gradients(gradients)

# %% [markdown]
# ## Look at what is normalised
#
# The share of values in the first layer that a ghost batch turns into nearly
# plus or minus one, before any training.


# %%
def share_of_signs(ghost_size):
    kernel = build_parameters("none")[0]
    z = torch.bmm(x_train[:, :GRADIENT_BATCH_SIZE], kernel)
    z, _, _ = normalise_ghost_batches_torch(z, 1.0, 0.0, ghost_size, EPSILON)
    return ((z.abs() - 1).abs() < 0.01).double().mean(dim=(1, 2)).numpy()


signs = {size: share_of_signs(size) for size in GHOST_SIZES}

# %% [markdown]
# ## Time a plain update
#
# The network with batch normalisation, in a plain loop. Processor time of one
# thread.


# %%
class PlainTraining:
    """The loop that a reader would write."""

    def __init__(self):
        base = build_mlp_torch(LAYERS, FIRST_SEED)
        self.model = nn.Sequential(
            base[0],
            nn.BatchNorm1d(HIDDEN_UNITS, EPSILON, 1 - RUNNING_SHARE),
            base[1],
            base[2],
            nn.BatchNorm1d(HIDDEN_UNITS, EPSILON, 1 - RUNNING_SHARE),
            base[3],
            base[4],
        )
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=MOMENTUM
        )

    def time_epoch(self, batch_size):
        """Updates of an epoch, seconds and updates that were timed."""
        start = time.process_time()
        batches = torch.split(torch.randperm(NUM_TRAIN), batch_size)
        for batch in batches[:TIMED_UPDATES]:
            outputs = self.model(x_train[0, batch])
            loss = nn.functional.cross_entropy(outputs, y_train[0, batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        spent = time.process_time() - start
        return len(batches), spent, min(TIMED_UPDATES, len(batches))


plain = PlainTraining()
timed = take_turns(plain.time_epoch)

# %% [markdown]
# ## Train
#
# All seeds and rates of a configuration at once. A rate multiplies the loss
# of its networks, which for SGD with momentum is the same as a rate.


# %%
def keep_statistics(running, found, ghost_size):
    """Running statistics after ghost batches that came one by one."""
    kept = []
    for (mean, variance), (means, variances) in zip(running, found):
        count = means.shape[1]
        shares = RUNNING_SHARE ** torch.arange(count - 1, -1, -1.0)
        shares = (1 - RUNNING_SHARE) * shares[:, None]
        stays = RUNNING_SHARE**count
        new_mean = (means * shares).sum(dim=1, keepdim=True)
        new_variance = (variances * shares).sum(dim=1, keepdim=True)
        # PyTorch keeps the variance of the population that it estimates.
        new_variance = new_variance * ghost_size / (ghost_size - 1)
        kept.append((stays * mean + new_mean, stays * variance + new_variance))
    return kept


def look(parameters, kind, ghost_size, running):
    """What evaluation finds with the weights as they are now."""
    copies = parameters[0].shape[0] // NUM_SEEDS

    def answer(x, fixed):
        x = torch.tensor(x).repeat(copies, 1, 1)
        outputs, _ = forward(parameters, x, kind, ghost_size, fixed)
        return outputs.argmax(dim=2).numpy()

    # Statistics of all training examples.
    everything = x_train.repeat(copies, 1, 1)
    _, population = forward(parameters, everything, kind, NUM_TRAIN)
    return look_at(answer, kind, running, population)


def train(kind, batch_size, ghost_size, rate_powers, looks):
    """{number of updates: what `look` found}, for each of looks."""
    copies = len(rate_powers)
    parameters = [
        each.requires_grad_() for each in build_parameters(kind, copies)
    ]
    optimizer = torch.optim.SGD(
        parameters, lr=1.0, momentum=MOMENTUM, fused=True
    )
    rates = 3.0 ** torch.tensor(rate_powers).repeat_interleave(NUM_SEEDS)
    units = torch.zeros(copies * NUM_SEEDS, 1, HIDDEN_UNITS)
    running = [(units, units + 1)] * 2
    random = np.random.default_rng(FIRST_SEED + batch_size)
    rows = torch.arange(NUM_SEEDS)[:, None]
    in_order = np.tile(np.arange(NUM_TRAIN), (NUM_SEEDS, 1))
    history, position = {}, NUM_TRAIN
    for update in range(1, max(looks) + 1):
        if position >= NUM_TRAIN:
            order = torch.from_numpy(random.permuted(in_order, axis=1))
            position = 0
        batch = order[:, position : position + batch_size]
        position += batch_size
        # The same examples for every rate.
        inputs = x_train[rows, batch].repeat(copies, 1, 1)
        labels = y_train[rows, batch].repeat(copies, 1)
        outputs, found = forward(parameters, inputs, kind, ghost_size)
        optimizer.zero_grad()
        (losses(outputs, labels) * rates).sum().backward()
        optimizer.step()
        with torch.no_grad():
            if kind == "batch":
                running = keep_statistics(running, found, ghost_size)
            if update in looks:
                history[update] = look(parameters, kind, ghost_size, running)
    return history


trained = train_all(train, *timed)

# %% [markdown]
# ## What was found

# %%
results = batch_normalisation_findings(
    alone, kept, signs, accumulated, *timed, *trained
)
