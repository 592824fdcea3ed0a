# %% [markdown]
# # Three batch sizes on tabular data (PyTorch)
#
# Repeats a lesson's comparison of three batch sizes on many data sets, then
# compares them fairly: with tuned rates, and with as many updates.
#
# - Install: `pip install torch scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `3` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snippets.build_mlp_torch import build_mlp_torch
from snippets.train_replicas_torch import train_replicas_torch
from tabular_findings import tabular_findings
from tabular_problem import *

# %% [markdown]
# ## Data as tensors

# %%
data = {
    kind: [[torch.tensor(array) for array in part] for part in parts]
    for kind, parts in data.items()
}

# %% [markdown]
# ## A plain epoch
#
# The loop that a reader would write, on one data set.


# %%
def plain_epochs(batch_size):
    """A function that trains one model for TIMED_EPOCHS more."""
    x, y = (part[0] for part in data["easy"][0])
    examples = TensorDataset(x, y.float()[:, None])
    loader = DataLoader(examples, batch_size=batch_size, shuffle=True)
    model = build_mlp_torch(LAYER_SIZES, FIRST_SEED)
    loss = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=1e-7)

    def run():
        for _ in range(TIMED_EPOCHS):
            for inputs, labels in loader:
                optimizer.zero_grad()
                loss(model(inputs), labels).backward()
                optimizer.step()

    return run


epoch_seconds = time_epochs({size: plain_epochs(size) for size in BATCH_SIZES})

# %% [markdown]
# ## Train
#
# `train_replicas_torch` trains on all data sets at once.


# %%
def train(kind, batch_size, rate, looks):
    fit, check, (x_test, y_test) = data[kind]
    models = [build_mlp_torch(LAYER_SIZES, seed) for seed in SEEDS]
    history = train_replicas_torch(
        models, *fit, batch_size, rate, looks, *check, seed=FIRST_SEED
    )
    with torch.no_grad():
        logits = [model(inputs) for model, inputs in zip(models, x_test)]
    right = (torch.stack(logits)[..., 0] > 0) == y_test
    return history["loss"], right.numpy()


by_rate, matched = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = tabular_findings(epoch_seconds, by_rate, matched)
