# %% [markdown]
# # Growing the batch instead of lowering the rate (PyTorch)
#
# Trains a small network with a learning rate that falls in steps, with a batch
# that grows by the same factors, with both and with neither.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn

from growing_the_batch_findings import growing_the_batch_findings
from growing_the_batch_problem import *
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
        nn.Linear(HIDDEN_UNITS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


# %% [markdown]
# ## Time the updates
#
# The plain loop.


# %%
def prepare(batch_size):
    """An update of the loop that a reader would write."""
    x, y = (torch.tensor(part[0]) for part in parts[0])
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=TIMED_RATE, momentum=MOMENTUM
    )

    def update():
        batch = torch.randint(len(y), (batch_size,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()

    return update


update_seconds = take_turns(prepare)

# %% [markdown]
# ## Train
#
# `train_rates_torch` trains all seeds and rates at once.


# %%
def train(optimizer, rates, phases, checkpoints, seed):
    """{data: {"loss" or "accuracy": [checkpoints, rates × seeds]}}."""
    training, validation, test = (
        [torch.from_numpy(array) for array in pair]
        for pair in for_each_rate(len(rates))
    )
    return train_rates_torch(
        [build_model(seed) for _ in rates for seed in SEEDS],
        np.repeat(rates, NUM_SEEDS).tolist(),
        *training,
        phases,
        checkpoints,
        {"validation": validation, "test": test},
        seed,
        **OPTIMIZERS[optimizer],
    )


best, runs = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = growing_the_batch_findings(update_seconds, best, runs)
