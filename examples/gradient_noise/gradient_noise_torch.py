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
from torch.nn.functional import cross_entropy

from gradient_noise_findings import gradient_noise_findings
from gradient_noise_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.compute_example_gradients_torch import (
    compute_example_gradients_torch,
)
from snippets.train_replicas_torch import train_replicas_torch

# %% [markdown]
# ## Train
#
# `train_replicas_torch` trains all seeds at once.


# %%
def train(name, updates):
    """The models of all seeds after so many updates."""
    seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
    models = [build_mlp_torch(LAYERS[name], seed) for seed in seeds]
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
    return cross_entropy(model(torch.tensor(inputs)), torch.tensor(labels))


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
        model, cross_entropy, inputs, labels
    ).numpy()


measured = measure_all(train, mean_loss, example_gradients, batch_gradient)

# %% [markdown]
# ## What was found

# %%
results = gradient_noise_findings(measured)
