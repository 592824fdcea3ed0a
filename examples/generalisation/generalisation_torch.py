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

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn

from generalisation_findings import generalisation_findings
from generalisation_problem import *
from snippets.measure_sharpness_torch import measure_sharpness_torch
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
    for layer in (model[0], model[2], model[4]):
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def tensors(x, y):
    return torch.from_numpy(x), torch.from_numpy(y).long()


# %% [markdown]
# ## Time the updates of a plain loop


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.001, momentum=MOMENTUM
        )
        self.x, self.y = tensors(*(part[0] for part in data["train"]))
        self.random = torch.Generator().manual_seed(FIRST_SEED)
        self.batches = []

    def update(self):
        if not self.batches:
            order = torch.randperm(NUM_TRAIN, generator=self.random)
            self.batches = list(order.split(self.batch_size))
        batch = self.batches.pop()
        self.optimizer.zero_grad()
        outputs = self.model(self.x[batch])
        nn.functional.cross_entropy(outputs, self.y[batch]).backward()
        self.optimizer.step()


plain = {batch_size: PlainTraining(batch_size) for batch_size in BATCH_SIZES}
update_seconds = take_turns(lambda batch_size: plain[batch_size].update())

# %% [markdown]
# ## Train
#
# `train_rates_torch` trains all rates and replicates of a size at once.


# %%
def train(batch_size, rates, looks):
    return train_rates_torch(
        [build_model(seed) for _ in rates for seed in SEEDS],
        np.repeat(rates, NUM_SEEDS).tolist(),
        *tensors(*for_rates("train", len(rates))),
        [(looks[-1], batch_size, 1.0)],
        looks,
        {part: tensors(*for_rates(part, len(rates))) for part in data},
        seed=FIRST_SEED + batch_size,
        momentum=MOMENTUM,
    )


runs = train_all(train, update_seconds)

# %% [markdown]
# ## Losses, gradients and curvature of many networks at once
#
# The weights of a network are one row of a matrix. Networks do not mix in a
# sum, so each row of a gradient is that network's.


# %%
def as_row(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy()


shapes = [tuple(weight.shape) for weight in build_model(0).parameters()]


class Networks:
    def forward(self, rows, x):
        """[networks, classes, examples]: so ordered, memory runs on."""
        counts = [int(np.prod(shape)) for shape in shapes]
        parts = [
            part.reshape(-1, *shape)
            for part, shape in zip(rows.split(counts, dim=1), shapes)
        ]
        hidden = x.transpose(1, 2)
        for kernel, bias in zip(parts[::2], parts[1::2]):
            if kernel is not parts[0]:
                hidden = torch.relu(hidden)
            hidden = torch.baddbmm(bias[..., None], kernel, hidden)
        return hidden

    def losses(self, rows, x, y):
        each = nn.functional.cross_entropy(
            self.forward(rows, x), y, reduction="none"
        )
        return each.mean(dim=1)

    def outputs(self, rows, x):
        return self.forward(torch.from_numpy(rows), torch.from_numpy(x)).numpy()

    def losses_and_hits(self, rows, x, y):
        rows, (x, y) = torch.from_numpy(rows), tensors(x, y)
        hits = (self.forward(rows, x).argmax(dim=1) == y).float().mean(dim=1)
        return self.losses(rows, x, y).numpy(), hits.numpy()

    def slopes(self, rows, x, y, create_graph=False):
        rows = torch.from_numpy(rows).requires_grad_()
        total = self.losses(rows, *tensors(x, y)).sum()
        return rows, torch.autograd.grad(
            total, rows, create_graph=create_graph
        )[0]

    def gradients(self, rows, x, y):
        return self.slopes(rows, x, y)[1].numpy()

    def hessians_times(self, rows, directions, x, y):
        rows, slopes = self.slopes(rows, x, y, create_graph=True)
        along = (slopes * torch.from_numpy(directions)).sum()
        return torch.autograd.grad(along, rows)[0].numpy()


networks = Networks()
models = [build_model(seed) for seed in SEEDS[:SHARPNESS_SEEDS]]
initial = np.stack([as_row(model) for model in models])
level, rescaling = measure_at_level(initial, networks)

# %% [markdown]
# ## The function for one model, which readers copy
#
# It should find what the one for many finds.

# %%
of_one = [
    measure_sharpness_torch(
        model,
        nn.functional.cross_entropy,
        *tensors(*(part[number] for part in data["train"])),
        num_iterations=POWER_ITERATIONS,
    )
    for number, model in enumerate(models)
]
of_many = sharpness_of(
    initial, *for_rates("train", 1, SHARPNESS_SEEDS), networks
)

# %% [markdown]
# ## What was found

# %%
results = generalisation_findings(
    update_seconds, runs, level, rescaling, np.divide(of_one, of_many)
)
