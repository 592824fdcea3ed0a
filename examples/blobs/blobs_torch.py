# %% [markdown]
# # Blobs: eight batch sizes, many seeds (PyTorch)
#
# Trains the small network of a popular tutorial at eight batch sizes and
# asks which of its conclusions survive more than one run.
#
# - Install: `pip install torch scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `2` minutes
# - Timing: `alone`

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from blobs_findings import blobs_findings
from blobs_problem import *
from snippets.train_replicas_torch import train_replicas_torch

# %% [markdown]
# ## Network
#
# The initial weights are those that Keras draws; PyTorch's own are smaller.

# %%
TIMED_EPOCHS = 1 if SHORT else 10

train_data = [torch.tensor(array) for array in train_data]
test_data = [torch.tensor(array) for array in test_data]


def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CENTERS),
    )
    nn.init.kaiming_uniform_(
        model[0].weight, nonlinearity="relu", generator=random
    )
    nn.init.xavier_uniform_(model[2].weight, generator=random)
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    return model


# %% [markdown]
# ## Count the updates of one epoch
#
# Counted while a plain loop runs, not calculated.


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.model = build_model(FIRST_SEED)
        self.loader = DataLoader(
            TensorDataset(*train_data), batch_size=batch_size, shuffle=True
        )
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=LEARNING_RATE, eps=1e-7
        )
        self.loss = nn.CrossEntropyLoss()

    def epoch(self):
        updates = 0
        for inputs, labels in self.loader:
            self.optimizer.zero_grad()
            self.loss(self.model(inputs), labels).backward()
            self.optimizer.step()
            updates += 1
        return updates


plain = {batch_size: PlainTraining(batch_size) for batch_size in BATCH_SIZES}
updates_per_epoch = {size: plain[size].epoch() for size in BATCH_SIZES}
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Time an epoch
#
# The plain loop, whose first epoch was spent above.


# %%
def time_epochs(batch_size):
    start = time.perf_counter()
    for _ in range(TIMED_EPOCHS):
        plain[batch_size].epoch()
    return (time.perf_counter() - start) / TIMED_EPOCHS


epoch_seconds = take_turns(time_epochs)

# %% [markdown]
# ## Train
#
# `train_replicas_torch` trains all seeds of a size at once.


# %%
def train(batch_size, rate, looks):
    models = [build_model(FIRST_SEED + number) for number in range(NUM_SEEDS)]
    seed = FIRST_SEED + batch_size
    history = train_replicas_torch(
        models, *train_data, batch_size, rate, looks, *test_data, seed=seed
    )
    return history["accuracy"]


accuracy = train_all(train, updates_per_epoch)

# %% [markdown]
# ## What was found

# %%
results = blobs_findings(updates_per_epoch, epoch_seconds, accuracy)
