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

from data_set_size_findings import data_set_size_findings
from data_set_size_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Train
#
# `train_rates_torch` trains all rates and data sets of a batch size at once.


# %%
def models_for(num_rates):
    return [
        build_mlp_torch(LAYERS, seed)
        for _ in range(num_rates)
        for seed in SEEDS
    ]


updates_per_epoch, accuracy = train_all(
    train_rates_torch, models_for, torch.from_numpy
)

# %% [markdown]
# ## What was found

# %%
results = data_set_size_findings(updates_per_epoch, accuracy)
