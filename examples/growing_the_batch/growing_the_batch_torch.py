# %% [markdown]
# # Growing the batch instead of lowering the rate (PyTorch)
#
# Trains a small network with a learning rate that falls in steps, with a batch
# that grows by the same factors, with both and with neither.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1.5` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch.nn.functional import cross_entropy

from growing_the_batch_findings import growing_the_batch_findings
from growing_the_batch_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.time_in_turns import time_in_turns
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Time the updates
#
# The plain loop, in seconds of the processor.


# %%
def prepare(batch_size):
    """An update of the loop that a reader would write."""
    x, y = (torch.tensor(part[0]) for part in parts[0])
    model = build_mlp_torch(LAYERS, FIRST_SEED)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=TIMED_RATE, momentum=MOMENTUM
    )

    def update():
        batch = torch.randint(len(y), (batch_size,))
        optimizer.zero_grad()
        cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()

    return update


update_seconds = time_in_turns(
    {size: prepare(size) for size in TIMED_BATCH_SIZES},
    TIMED_REPEATS,
    TIMED_SECONDS,
)

# %% [markdown]
# ## Train
#
# `train_rates_torch` trains all seeds and rates at once.


# %%
def models_for(num_rates):
    seeds = SEEDS * num_rates
    return [build_mlp_torch(LAYERS, seed) for seed in seeds]


best, runs = train_all(train_rates_torch, models_for, torch.from_numpy)

# %% [markdown]
# ## What was found

# %%
results = growing_the_batch_findings(update_seconds, best, runs)
