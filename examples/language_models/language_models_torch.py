# %% [markdown]
# # Language models: one example per update (PyTorch)
#
# Trains a small language model with one to many sequences per update, with
# SGD and with Adam, and asks what is lost with one.
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

from language_models_findings import language_models_findings
from language_models_problem import *

# %% [markdown]
# ## Network
#
# Two characters in, one-hot; one hidden layer; a score for each next
# character. The initial weights are those that Keras draws; PyTorch's own are
# smaller.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(2 * NUM_CHARACTERS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CHARACTERS),
    )
    nn.init.kaiming_uniform_(
        model[0].weight, nonlinearity="relu", generator=random
    )
    nn.init.xavier_uniform_(model[2].weight, generator=random)
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    return model


# %% [markdown]
# ## Time an update
#
# Of a plain loop, as a reader would write it.


# %%
def prepare(x, y):
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    model = build_model(FIRST_SEED)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)

    def update():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return update


update_seconds = time_updates(prepare)

# %% [markdown]
# ## Train
#
# All rates and seeds of a batch size are trained at once, with stacked
# weights. The optimizer is PyTorch's own, at a rate of one; it moves what is
# then multiplied by each model's rate. That is exact for SGD and Adam.

# %%
models = [build_model(seed) for seed in SEEDS] * NUM_RATES
initial = [
    torch.stack(weights).detach()
    for weights in zip(*(model.parameters() for model in models))
]
features = torch.tensor(all_pairs)


def scores_of(weights, inputs):
    """[replicas, scores, predictions]: so ordered, rows are long."""
    kernel, bias, last_kernel, last_bias = weights
    hidden = torch.baddbmm(bias[:, :, None], kernel, inputs).relu()
    return torch.baddbmm(last_bias[:, :, None], last_kernel, hidden)


def train(beta, rates, pairs, shares, looks):
    rates = torch.tensor(np.repeat(rates, NUM_SEEDS), dtype=torch.float32)
    rates = [rates.reshape(-1, *[1] * (w.dim() - 1)) for w in initial]
    travelled = [torch.zeros_like(weight) for weight in initial]
    if beta is None:
        optimizer = torch.optim.SGD(travelled, lr=1.0, fused=True)
    else:
        optimizer = torch.optim.Adam(
            travelled, lr=1.0, betas=(0.9, beta), eps=1e-7, fused=True
        )

    def now():
        return [
            torch.addcmul(*parts) for parts in zip(initial, rates, travelled)
        ]

    @torch.no_grad()
    def look():
        inputs = features.T.expand(len(models), -1, -1)
        found = scores_of(now(), inputs).log_softmax(dim=1)
        return excess_loss(found.transpose(1, 2).numpy())

    found = []
    for update, (batch, share) in enumerate(zip(pairs, shares), 1):
        inputs = features[torch.tensor(batch)].transpose(1, 2)
        share = torch.tensor(share).transpose(1, 2)
        weights = [weight.requires_grad_() for weight in now()]
        scores = scores_of(weights, inputs.repeat(NUM_RATES, 1, 1))
        # Each model's own mean; their gradients do not mix in a sum.
        loss = -(share.repeat(NUM_RATES, 1, 1) * scores.log_softmax(dim=1))
        gradients = torch.autograd.grad(loss.sum(), weights)
        for moved, gradient in zip(travelled, gradients):
            moved.grad = gradient
        optimizer.step()
        if update in looks:
            found.append(look())
    return found


excess = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = language_models_findings(update_seconds, excess)
