# %% [markdown]
# # Gradient noise (PyTorch)
#
# Takes the gradient of every single example at four stages of training, and
# asks how far the gradient of a mini-batch is from that of all examples.
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

from gradient_noise_findings import gradient_noise_findings
from gradient_noise_problem import *
from snippets.compute_example_gradients_torch import (
    compute_example_gradients_torch,
)
from snippets.train_replicas_torch import train_replicas_torch

# %% [markdown]
# ## Network
#
# The initial weights are those that Keras draws; PyTorch's own are smaller.

# %%
loss_function = nn.CrossEntropyLoss()


def build_model(seed, name):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES[name], HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    for layer in (model[0], model[2], model[4]):
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


# %% [markdown]
# ## Train
#
# `train_replicas_torch` trains all seeds at once.


# %%
def train(name, updates):
    """The models of all seeds after so many updates."""
    models = [build_model(FIRST_SEED + n, name) for n in range(NUM_SEEDS)]
    if updates:
        x, y, *fresh = map(torch.tensor, data[name])
        how = TRAINING_BATCH_SIZE, LEARNING_RATE, [updates]
        train_replicas_torch(models, x, y, *how, *fresh, seed=FIRST_SEED)
    return models


# %% [markdown]
# ## Gradients
#
# Of every example at once, and of one batch as a plain loop takes it.


# %%
def loss_of(model, inputs, labels):
    return loss_function(model(torch.tensor(inputs)), torch.tensor(labels))


def mean_loss(model, inputs, labels):
    return loss_of(model, inputs, labels).item()


def batch_gradient(model, inputs, labels):
    """The gradient of the mean loss, a NumPy array [parameters]."""
    loss = loss_of(model, inputs, labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([each.flatten() for each in gradients]).double().numpy()


def example_gradients(model, inputs, labels):
    """The gradient of each example, a NumPy array [N, parameters]."""
    inputs, labels = torch.tensor(inputs), torch.tensor(labels)
    return compute_example_gradients_torch(
        model, loss_function, inputs, labels
    ).numpy()


measured = measure_all(train, mean_loss, example_gradients, batch_gradient)

# %% [markdown]
# ## What was found

# %%
results = gradient_noise_findings(measured)
