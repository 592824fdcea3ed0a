# %% [markdown]
# # Several devices (PyTorch)
#
# Trains on two processes that share every batch, and compares the gradient,
# the weights and the time with those of one process.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# Each process has one core.
os.environ["OMP_NUM_THREADS"] = "1"

import time
from datetime import timedelta
from functools import partial

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from several_devices_findings import several_devices_findings
from several_devices_problem import *
from snippets.run_processes import run_processes
from snippets.train_rates_torch import train_rates_torch
from snippets.update_on_devices_torch import update_on_devices_torch

# %% [markdown]
# ## Network
#
# PyTorch's own layer with the statistics of all devices wants a GPU, so here
# is one that adds up sums and squares.


# %%
class SumOverDevices(torch.autograd.Function):
    """The sum over all processes, in the gradient as well."""

    @staticmethod
    def forward(context, x):
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(context, gradient):
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient


class SharedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation with the statistics of all processes, to train."""

    def forward(self, x):
        count = torch.full_like(x[0, :1], len(x))
        sums = SumOverDevices.apply(
            torch.cat([x.sum(dim=0), (x * x).sum(dim=0), count])
        )
        mean, square = (sums[:-1] / sums[-1]).chunk(2)
        x = (x - mean) * torch.rsqrt(square - mean * mean + self.eps)
        return x * self.weight + self.bias


def build_model(seed, normalise=None, units=HIDDEN_UNITS):
    """normalise: None, "local" or "shared" statistics."""
    random = torch.Generator().manual_seed(seed)
    sizes = [NUM_FEATURES, units, units, NUM_CLASSES]
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layer = nn.Linear(inputs, outputs)
        # The initial weights that Keras draws.
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
        layers.append(layer)
        if outputs != NUM_CLASSES:
            if normalise:
                shared = normalise == "shared"
                kind = SharedBatchNorm if shared else nn.BatchNorm1d
                layers.append(kind(outputs, EPSILON))
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


# %% [markdown]
# ## One case
#
# `weighted` is the update of the page, `means` what one would write for one
# device.


# %%
class Run:
    """A network that is trained, by this process alone or by all of them."""

    def __init__(self, wrap, normalise, rule, passes, updates):
        self.wrap, self.normalise, self.rule = wrap, normalise, rule
        # Momentum only where there are several updates to pass it on to.
        several = updates > 1
        self.settings = {
            "lr": 0.1 if several else 1.0,
            "momentum": MOMENTUM if several else 0.0,
        }

    def start(self, row):
        self.model = self.wrap(build_model(seeds[row], self.normalise).double())
        parameters = self.model.parameters()
        self.optimizer = torch.optim.SGD(parameters, **self.settings)

    def update(self, batches, size):
        batches = [[torch.tensor(each) for each in pair] for pair in batches]
        if self.rule == "weighted":
            loss = nn.CrossEntropyLoss(reduction="none")
            update_on_devices_torch(
                self.model, loss, self.optimizer, batches, size
            )
        else:
            one_update(self.model, self.optimizer, *batches[0])

    def weights(self):
        parameters = [each.detach() for each in self.model.parameters()]
        return nn.utils.parameters_to_vector(parameters).numpy().copy()


def one_update(model, optimizer, inputs, labels):
    optimizer.zero_grad()
    nn.CrossEntropyLoss()(model(inputs), labels).backward()
    optimizer.step()


# %% [markdown]
# ## Who gets which examples of an epoch
#
# By the usual tool.


# %%
def share_epoch(process, num_examples, drop):
    """The examples of this process, batch by batch."""
    data = torch.arange(num_examples)
    sampler = DistributedSampler(
        data, NUM_DEVICES, process, shuffle=False, drop_last=drop
    )
    loader = DataLoader(
        data, EPOCH_BATCH // NUM_DEVICES, sampler=sampler, drop_last=drop
    )
    return [batch.tolist() for batch in loader]


# %% [markdown]
# ## What runs, and how long it takes


# %%
def usual_training():
    model = DistributedDataParallel(build_model(FIRST_SEED))
    inputs, labels = map(torch.tensor, batch_of(0, 0, 0, DEVICE_BATCH_SIZE))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    one_update(model, optimizer, inputs.float(), labels)


def synchronised_layer():
    layer = nn.SyncBatchNorm(NUM_FEATURES, EPSILON)
    inputs, _ = batch_of(0, 0, 0, DEVICE_BATCH_SIZE)
    DistributedDataParallel(layer)(torch.tensor(inputs).float())


def time_updates():
    """(seconds of an update by case, number of weights)."""
    local = build_model(FIRST_SEED, units=TIMED_UNITS)
    shared = DistributedDataParallel(build_model(FIRST_SEED, units=TIMED_UNITS))
    count = sum(each.numel() for each in local.parameters())
    gradient = torch.zeros(count)
    batches = {
        size: [torch.tensor(each) for each in timed_batch(size)]
        for size in TIMED_SIZES
    }
    optimizers = {
        model: torch.optim.SGD(model.parameters(), lr=0.01)
        for model in (local, shared)
    }

    def act(what, size):
        if what == "exchange":
            distributed.all_reduce(gradient)
        else:
            model = shared if what == "update" else local
            one_update(model, optimizers[model], *batches[size])

    def timed(what, size):
        distributed.barrier()
        start = time.perf_counter()
        for _ in range(TIMED_UPDATES):
            act(what, size)
        return time.perf_counter() - start

    return take_turns(timed), count


# %% [markdown]
# ## Run
#
# First in two processes, then in one.


# %%
def work(process, addresses):
    """All that the two processes do together."""
    distributed.init_process_group(
        "gloo",
        init_method=f"tcp://{addresses[0]}",
        rank=process,
        world_size=NUM_DEVICES,
        timeout=timedelta(seconds=TIME_LIMIT),
    )
    torch.set_num_threads(1)
    return {
        "times": time_updates(),
        "cases": run_cases(partial(Run, DistributedDataParallel), process),
        "epochs": share_epochs(partial(share_epoch, process)),
        "refusals": refusals_of([synchronised_layer, usual_training]),
    }


together = run_processes(work, NUM_DEVICES, TIME_LIMIT)
alone = run_cases(partial(Run, lambda model: model))
measured = compare_processes(together, alone)

# %% [markdown]
# Then the rates, in one process.


# %%
def train(rates, data, batch_size, looks, check):
    return train_rates_torch(
        [build_model(seed) for _ in RATE_POWERS for seed in seeds],
        rates,
        *map(torch.tensor, data),
        [(NUM_UPDATES, batch_size, 1.0)],
        looks,
        {part: map(torch.tensor, pair) for part, pair in check.items()},
        seed=FIRST_SEED + batch_size,
        momentum=MOMENTUM,
    )


accuracy = train_rates(train)

# %% [markdown]
# ## What was found

# %%
results = several_devices_findings(accuracy, **measured)
