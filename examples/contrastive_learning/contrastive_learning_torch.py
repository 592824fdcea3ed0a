# %% [markdown]
# # Contrastive learning: the batch is part of the loss (PyTorch)
#
# Trains a small encoder with in-batch negatives at five batch sizes and asks
# what the batch size changes: the loss, its gradient, the representation.
#
# - Install: `pip install torch scikit-learn scipy`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"


import torch
from torch import nn

from contrastive_learning_findings import contrastive_learning_findings
from contrastive_learning_problem import *
from snippets.contrast_views_torch import contrast_views_torch

# %% [markdown]
# ## Encoder
#
# One hidden layer, and embeddings of a few dimensions.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_PIXELS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_DIMENSIONS),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    nn.init.kaiming_uniform_(
        model[0].weight, nonlinearity="relu", generator=random
    )
    nn.init.xavier_uniform_(model[2].weight, generator=random)
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    return model


# %% [markdown]
# ## Count and time the updates of one epoch
#
# The plain loop. The first epoch is not timed.


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=LEARNING_RATES[1], eps=1e-7
        )
        self.images = torch.tensor(pool).reshape(NUM_TRAIN, NUM_POSITIONS, -1)

    def epoch(self):
        updates = 0
        for batch in torch.randperm(NUM_TRAIN).split(self.batch_size):
            first, second = torch.randint(NUM_POSITIONS, (2, len(batch)))
            self.optimizer.zero_grad()
            loss = contrast_views_torch(
                self.model(self.images[batch, first]),
                self.model(self.images[batch, second]),
                TEMPERATURE,
            )
            loss.backward()
            self.optimizer.step()
            updates += 1
        return updates


plain = {batch_size: PlainTraining(batch_size) for batch_size in BATCH_SIZES}
updates_per_epoch = {size: plain[size].epoch() for size in BATCH_SIZES}
print("updates per epoch:", updates_per_epoch)

seconds = take_turns(plain)

# %% [markdown]
# ## Many encoders at once
#
# Weights are stacked: `[replicas, inputs, outputs]`. Each replica learns what
# the plain loop would teach it, on batches of its own.

# %%
images_of_pool = torch.tensor(pool)


def initial(seeds):
    """Stacked weights and biases of a new encoder for each seed."""
    models = [build_model(int(seed)) for seed in seeds]
    stacked = []
    for weights in zip(*(model.parameters() for model in models)):
        weight = torch.stack(weights).detach()
        # A bias becomes one row, so that it is added to each example.
        stacked.append(weight.mT if weight.ndim == 3 else weight[:, None])
    return [weight.numpy() for weight in stacked]


def forward(weights, images):
    hidden = torch.relu(images @ weights[0] + weights[1])
    return hidden @ weights[2] + weights[3]


def embed(weights, images):
    """Embeddings [replicas, images, dimensions] as a NumPy array."""
    weights = [torch.as_tensor(weight) for weight in weights]
    return forward(weights, torch.as_tensor(images)).numpy()


def losses(weights, first, second, group_size):
    """InfoNCE of each replica, averaged over groups of so many examples."""
    embedded = forward(weights, torch.cat([first, second], dim=-2))
    replicas, rows, dimensions = embedded.shape
    groups = embedded.reshape(
        replicas, 2, rows // 2 // group_size, group_size, dimensions
    )
    each = contrast_views_torch(groups[:, 0], groups[:, 1], TEMPERATURE)
    return each.mean(dim=1)


def loss_of(weights, first, second, group_size):
    weights = [torch.as_tensor(weight) for weight in weights]
    views = torch.as_tensor(first), torch.as_tensor(second)
    return losses(weights, *views, group_size).numpy()


def grouped_gradient(weights, first, second, group_size, contrast=True):
    """Gradient of each replica; without contrast, of a plain loss instead.

    The plain loss is the mean squared difference of the two embeddings.
    """
    weights = [torch.tensor(weight, requires_grad=True) for weight in weights]
    views = torch.as_tensor(first), torch.as_tensor(second)
    if contrast:
        loss = losses(weights, *views, group_size).sum()
    else:
        difference = forward(weights, views[0]) - forward(weights, views[1])
        loss = difference.square().mean(dim=(1, 2)).sum()
    return [each.numpy() for each in torch.autograd.grad(loss, weights)]


def begin(weights):
    """The state of a training: weights, both averages of Adam, updates."""
    weights = [torch.tensor(weight) for weight in weights]
    zeros = [torch.zeros_like(weight) for weight in weights]
    return weights, zeros, [zero.clone() for zero in zeros], 0


def weights_of(state):
    return [weight.detach().numpy().copy() for weight in state[0]]


def advance(state, rates, pairs, batch_size, group_size):
    """Train on pool indices [2, replicas, examples], batch after batch.

    Adam is written out because each replica has a rate of its own.
    """
    weights, means, squares, done = state
    rates = torch.as_tensor(rates)[:, None, None]
    for batch in torch.as_tensor(pairs).split(batch_size, dim=2):
        weights = [weight.detach().requires_grad_() for weight in weights]
        loss = losses(
            weights,
            images_of_pool[batch[0]],
            images_of_pool[batch[1]],
            group_size,
        )
        gradients = torch.autograd.grad(loss.sum(), weights)
        done += 1
        with torch.no_grad():
            for part, gradient in enumerate(gradients):
                means[part].lerp_(gradient, 0.1)
                squares[part].lerp_(gradient.square(), 0.001)
                spread = (squares[part] / (1 - 0.999**done)).sqrt() + 1e-7
                change = means[part] / (1 - 0.9**done) / spread
                weights[part] = weights[part] - rates * change
    return weights, means, squares, done


# %% [markdown]
# ## Train and compare
#
# From here on nothing knows that PyTorch trains.

# %%
encoders = Encoders(
    initial, embed, begin, weights_of, advance, loss_of, grouped_gradient
)
measured = measure_all(encoders)

# %% [markdown]
# ## What was found

# %%
results = contrastive_learning_findings(updates_per_epoch, seconds, **measured)
