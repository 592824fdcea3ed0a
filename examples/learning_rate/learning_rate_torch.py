# %% [markdown]
# # Learning rate and batch size, mapped (PyTorch)
#
# Trains a small network at many learning rates and batch sizes, and asks how
# the best rate moves, and what each rule of thumb costs.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch.nn.functional import cross_entropy

from learning_rate_findings import learning_rate_findings
from learning_rate_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Time an epoch
#
# The plain loop, as a reader would write it.


# %%
def prepare(batch_size):
    """A training of so many epochs, at one batch size."""
    x, y = (torch.tensor(part[0]) for part in data["mnist1d"][0])
    model = build_mlp_torch(LAYERS["mnist1d"], FIRST_SEED)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=TIMED_RATE, momentum=MOMENTUM
    )

    def train_epochs(num_epochs):
        for _ in range(num_epochs):
            for batch in torch.randperm(len(y)).split(batch_size):
                optimizer.zero_grad()
                cross_entropy(model(x[batch]), y[batch]).backward()
                optimizer.step()

    return train_epochs


update_seconds = time_updates(prepare)

# %% [markdown]
# ## Train
#
# `train_rates_torch` trains all rates and seeds of a batch size at once.


# %%
def models_for(name, num_rates):
    seeds = SEEDS * num_rates
    return [build_mlp_torch(LAYERS[name], seed) for seed in seeds]


train = training_with(train_rates_torch, models_for, torch.from_numpy)
maps = train_map(train, update_seconds)
warmed = train_warmups(train)
curves = train_curves(train, maps)

# %% [markdown]
# ## What was found

# %%
results = learning_rate_findings(update_seconds, maps, warmed, curves)
