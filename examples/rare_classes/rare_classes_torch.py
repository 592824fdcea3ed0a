# %% [markdown]
# # Rare classes: what batch size does to one attack in a hundred (PyTorch)
#
# Counts the batches without an attack, and trains a network on rare attacks
# at three batch sizes under several budgets, rates, weights and orders.
#
# - Install: `pip install torch scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from rare_classes_findings import rare_classes_findings
from rare_classes_problem import *

# %% [markdown]
# ## Network
#
# The initial weights are those that Keras draws; PyTorch's own are smaller.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    layers, inputs = [], NUM_FEATURES
    for units in [*HIDDEN_UNITS, 1]:
        layer = nn.Linear(inputs, units)
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
        inputs = units
    return nn.Sequential(*layers[:-1])


# %% [markdown]
# ## Count in a loader
#
# Full batches of a shuffled `DataLoader`.


# %%
def count_empty(batch_size):
    """Share of the batches of each epoch that hold no attack."""
    loader = DataLoader(
        y_one.tolist(),
        batch_size,
        shuffle=True,
        drop_last=True,
        generator=torch.Generator().manual_seed(FIRST_SEED),
    )
    return [
        np.mean([not batch.any() for batch in loader])
        for _ in range(COUNTED_EPOCHS)
    ]


empty_shares = {size: count_empty(size) for size in COUNTED_SIZES}

# %% [markdown]
# ## Add up the gradients of an epoch

# %%
model_one = build_model(FIRST_SEED)


def gradient_of(x, y):
    """Of the mean loss of a batch, as one row."""
    loss = nn.functional.binary_cross_entropy_with_logits(
        model_one(torch.tensor(x))[:, 0], torch.tensor(y).float()
    )
    found = torch.autograd.grad(loss, list(model_one.parameters()))
    return np.concatenate([each.numpy().ravel() for each in found])


gradient_errors = errors_of_sums(gradient_of)

# %% [markdown]
# ## Train many networks at once
#
# One for each data set and rate, on batches of its own. Adam's steps are
# proportional to the rate, so it runs at a rate of one, and what it moves is
# multiplied by each network's own.


# %%
def predict(weights, inputs):
    """Logits [networks, batch]; weights: kernels and biases in turn."""
    # Features before examples: [networks, outputs, batch].
    outputs = inputs.transpose(1, 2)
    for layer in range(0, len(weights), 2):
        if layer:
            outputs = outputs.relu()
        kernel, bias = weights[layer : layer + 2]
        outputs = torch.baddbmm(bias[:, :, None], kernel, outputs)
    return outputs[:, 0]


def train(numbers, rates, batch_size, looks, way):
    """One network for each of the data sets; see `train_in_order`."""
    models = [build_model(FIRST_SEED + number) for number in numbers]
    initial = [
        torch.stack(weights).detach()
        for weights in zip(*(model.parameters() for model in models))
    ]
    rates = torch.tensor(np.array(rates), dtype=torch.float32)
    rates = [rates.reshape(-1, *[1] * (weight.dim() - 1)) for weight in initial]
    travelled = [torch.zeros_like(weight) for weight in initial]
    optimizer = torch.optim.Adam(travelled, lr=1.0, eps=1e-7, fused=True)
    class_weights = torch.tensor(
        CLASS_WEIGHTS if way == "weighted" else [1.0, 1.0]
    )
    # Data sets lie one behind the other, so that one index finds an example.
    x = torch.tensor(data["train"][0]).reshape(-1, NUM_FEATURES)
    y = torch.tensor(data["train"][1]).reshape(-1).long()

    def now():
        return [
            torch.addcmul(start, rate, moved)
            for start, rate, moved in zip(initial, rates, travelled)
        ]

    def advance(order):
        for batch in torch.from_numpy(order).split(batch_size, dim=1):
            stacked = [weight.requires_grad_() for weight in now()]
            each = nn.functional.binary_cross_entropy_with_logits(
                predict(stacked, x[batch]),
                y[batch].float(),
                weight=class_weights[y[batch]],
                reduction="none",
            )
            # Each network's own mean; their gradients do not mix in a sum.
            gradients = torch.autograd.grad(each.mean(dim=1).sum(), stacked)
            for moved, gradient in zip(travelled, gradients):
                moved.grad = gradient
            optimizer.step()

    @torch.no_grad()
    def predict_now(inputs):
        return predict(now(), torch.tensor(inputs)).numpy()

    return train_in_order(numbers, batch_size, looks, way, advance, predict_now)


# %% [markdown]
# ## The same as a plain loop
#
# A few updates of one network, as a reader would write them.

# %%
found = train([0], [BASE_RATE], SMALLEST, [FEW_UPDATES], "weighted")
together = found[FEW_UPDATES]["validation"][0]
model = build_model(FIRST_SEED)
optimizer = torch.optim.Adam(model.parameters(), lr=BASE_RATE, eps=1e-7)
for batch in few_batches:
    labels = torch.tensor(y_one[batch]).long()
    optimizer.zero_grad()
    nn.functional.binary_cross_entropy_with_logits(
        model(torch.tensor(x_one[batch]))[:, 0],
        labels.float(),
        weight=torch.tensor(CLASS_WEIGHTS)[labels],
    ).backward()
    optimizer.step()
with torch.no_grad():
    alone = model(torch.tensor(data["validation"][0][0]))[:, 0].numpy()
logit_errors = np.abs(together - alone)

# %% [markdown]
# ## Choose the rates, and train

# %%
chosen = choose_exponents(train)
scores = train_all(train, chosen)

# %% [markdown]
# ## What a weighted loss is divided by
#
# `CrossEntropyLoss` with `weight`, on two outputs that mean the same.

# %%
logits = torch.tensor(LOSS_LOGITS)
weighted_loss = float(
    nn.CrossEntropyLoss(weight=torch.tensor(CLASS_WEIGHTS))(
        torch.stack([torch.zeros_like(logits), logits], dim=1),
        torch.tensor(LOSS_LABELS),
    )
)
print("a weighted loss of one batch:", weighted_loss)

# %% [markdown]
# ## What was found

# %%
results = rare_classes_findings(
    empty_shares, gradient_errors, logit_errors, chosen, scores, weighted_loss
)
