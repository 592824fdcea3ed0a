# %% [markdown]
# # Batch size and the size of the data set (PyTorch)
#
# Trains on few and on many examples with four batch sizes, and asks whether
# the best one grows with the data: at one rate, tuned, and at equal updates.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn

from data_set_size_findings import data_set_size_findings
from data_set_size_problem import *
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Network
#
# The initial weights are those that Keras draws; PyTorch's own are smaller.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, 2),
    )
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def tensors(data):
    inputs, labels = data
    return torch.from_numpy(inputs), torch.from_numpy(labels).long()


# %% [markdown]
# ## Train
#
# `train_rates_torch` trains all rates and data sets of a batch size at once.


# %%
def train(rates, data, phases, checkpoints, check, seed):
    history = train_rates_torch(
        [build_model(seed) for _ in rates for seed in SEEDS],
        np.repeat(rates, NUM_DATA_SETS).tolist(),
        *tensors(data),
        phases,
        checkpoints,
        {part: tensors(pair) for part, pair in check.items()},
        seed,
        optimizer="adam",
    )
    return {part: found["accuracy"] for part, found in history.items()}


updates_per_epoch, accuracy = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = data_set_size_findings(updates_per_epoch, accuracy)
