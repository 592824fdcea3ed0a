# %% [markdown]
# # Critical batch size and gradient noise scale (PyTorch)
#
# Counts the updates to a target at many batch sizes, each with its best rate,
# and asks whether the gradient noise scale predicts where the gain ends.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `3` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch.nn.functional import cross_entropy

from critical_batch_size_findings import critical_batch_size_findings
from critical_batch_size_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.measure_noise_scale_torch import measure_noise_scale_torch
from snippets.time_in_turns import time_in_turns
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Time the updates
#
# The plain loop.


# %%
def prepare(batch_size):
    """An update of the loop that a reader would write."""
    x, y = (torch.tensor(part[0]) for part in data["mnist1d"][0])
    model = build_mlp_torch(LAYERS["mnist1d"], FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), lr=TIMED_RATE)

    def update():
        batch = torch.randint(len(y), (batch_size,))
        optimizer.zero_grad()
        cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()

    return update


update_seconds = time_in_turns(
    {size: prepare(size) for size in BATCH_SIZES}, TIMED_REPEATS, TIMED_SECONDS
)

# %% [markdown]
# ## Train to the targets
#
# `train_rates_torch` trains all rates and seeds of a batch size at once.


# %%
def models_for(name, num_rates):
    """Every seed's model, for each of the rates."""
    seeds = SEEDS * num_rates
    return [build_mlp_torch(LAYERS[name], seed) for seed in seeds]


how = train_rates_torch, models_for, torch.from_numpy
runs = train_to_targets(*how)

# %% [markdown]
# ## Noise scale along training


# %%
def weights_of(model):
    """Kernels [inputs, units] and biases, as NumPy arrays."""
    return [each.detach().numpy().T for each in model.parameters()]


def two_batch_noise_scale(model, x, y, seed):
    sizes = SMALL_BATCH_SIZE, LARGE_BATCH_SIZE, NUM_BATCHES
    return measure_noise_scale_torch(model, cross_entropy, x, y, *sizes, seed)[
        "noise_scale"
    ]


noise = measure_noise(*how, weights_of, two_batch_noise_scale)

# %% [markdown]
# ## What was found

# %%
results = critical_batch_size_findings(update_seconds, runs, noise)
