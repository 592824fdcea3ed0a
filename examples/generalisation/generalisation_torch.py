# %% [markdown]
# # Generalisation: what is left of it when the comparison is fair (PyTorch)
#
# Trains one network at four batch sizes under four budgets, and measures how
# sharp the solutions are that it finds.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# One thread: networks this small are slower on many.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn

from generalisation_findings import generalisation_findings
from generalisation_problem import *
from snippets.build_mlp_torch import build_mlp_torch
from snippets.measure_sharpness_torch import measure_sharpness_torch
from snippets.train_rates_torch import train_rates_torch

# %% [markdown]
# ## Time the updates of a plain loop


# %%
def build_model(seed):
    return build_mlp_torch(LAYERS, seed)


def prepare(x, y, batches):
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=MOMENTUM)

    def update():
        batch = next(batches)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()

    return update


update_seconds = time_updates(prepare)

# %% [markdown]
# ## Train
#
# `train_rates_torch` trains all rates and replicates of a size at once.

# %%
runs = train_all(
    train_rates_torch, build_model, torch.from_numpy, update_seconds
)

# %% [markdown]
# ## Outputs, gradients and curvature of many networks at once
#
# The weights of a network are one row of a matrix. Networks do not mix in a
# sum, so each row of a gradient is that network's.


# %%
class Networks:
    shapes = [weight.shape for weight in build_model(0).parameters()]
    counts = [shape.numel() for shape in shapes]

    def forward(self, rows, x):
        """[networks, classes, examples]: so ordered, memory runs on."""
        parts = [
            part.reshape(-1, *shape)
            for part, shape in zip(rows.split(self.counts, dim=1), self.shapes)
        ]
        hidden = x.transpose(1, 2)
        for kernel, bias in zip(parts[::2], parts[1::2]):
            if kernel is not parts[0]:
                hidden = torch.relu(hidden)
            hidden = torch.baddbmm(bias[..., None], kernel, hidden)
        return hidden

    def outputs(self, rows, x):
        found = self.forward(torch.from_numpy(rows), torch.from_numpy(x))
        return found.transpose(1, 2).numpy()

    def gradients(self, rows, x, y, directions=None):
        rows, x, y = map(torch.from_numpy, (rows, x, y))
        each = nn.functional.cross_entropy(
            self.forward(rows.requires_grad_(), x), y, reduction="none"
        )
        slopes = torch.autograd.grad(
            each.mean(dim=1).sum(), rows, create_graph=directions is not None
        )[0]
        if directions is not None:
            along = (slopes * torch.from_numpy(directions)).sum()
            slopes = torch.autograd.grad(along, rows)[0]
        return slopes.numpy()

    def hessians_times(self, rows, directions, x, y):
        return self.gradients(rows, x, y, directions)


networks = Networks()
models = [build_model(seed) for seed in SEEDS[:SHARPNESS_SEEDS]]
initial = np.stack(
    [
        nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
        for model in models
    ]
)
level, others = measure_at_level(networks, initial)

# %% [markdown]
# ## The function for one model, which readers copy
#
# `measure_sharpness_torch` should find what is found for many at once.

# %%
of_one = [
    measure_sharpness_torch(
        model,
        nn.functional.cross_entropy,
        *(torch.from_numpy(part[number]) for part in data["train"]),
        num_iterations=POWER_ITERATIONS,
    )
    for number, model in enumerate(models)
]

# %% [markdown]
# ## What was found

# %%
results = generalisation_findings(update_seconds, runs, level, others, of_one)
