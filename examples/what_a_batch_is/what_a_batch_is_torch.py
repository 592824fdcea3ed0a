# %% [markdown]
# # What a batch is: counts, orders and three kinds of descent (PyTorch)
#
# Counts the updates that PyTorch makes, weighs the last partial batch, and
# trains on single examples, mini-batches and all examples.
#
# - Install: `pip install torch scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import warnings

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from what_a_batch_is_findings import what_a_batch_is_findings
from what_a_batch_is_problem import *

# Rates that diverge on purpose would otherwise be slow to multiply.
torch.set_flush_denormal(True)

# %% [markdown]
# ## Look at the order of examples
#
# Each example is its own number, so that what a batch holds can be read off.


# %%
def orders_seen(**options):
    numbers = TensorDataset(torch.arange(ORDER_EXAMPLES))
    loader = DataLoader(
        numbers, batch_size=ORDER_BATCH_SIZE, shuffle=True, **options
    )
    return [
        [int(number) for (batch,) in loader for number in batch]
        for _ in range(ORDER_EPOCHS)
    ]


orders = {"unseeded": orders_seen()}
torch.manual_seed(FIRST_SEED)
orders["seeded"] = orders_seen()
own = torch.Generator().manual_seed(FIRST_SEED)
orders["own_shuffle"] = orders_seen(generator=own)

# %% [markdown]
# ## Count updates
#
# Counted while a plain loop runs, not calculated. Adam counts its own steps
# as well; the two are compared where the length of the data is not known.


# %%
def plain_loop(loader, num_epochs):
    """Train a tiny model, and count what happens meanwhile."""
    torch.manual_seed(FIRST_SEED)
    model = nn.Linear(1, 1)
    before = model.weight.item()
    optimizer = torch.optim.Adam(model.parameters())
    sizes = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(num_epochs):
            for (inputs,) in loader:
                optimizer.zero_grad()
                (model(inputs) - 1).square().mean().backward()
                optimizer.step()
                sizes.append(len(inputs))
    state = optimizer.state.get(model.weight, {"step": 0})
    return {
        "updates": len(sizes),
        "examples_seen": sum(sizes),
        "last_batch_size": sizes[-1] if sizes else 0,
        "own_count": int(state["step"]),
        "warnings": len(caught),
        "weight_change": abs(model.weight.item() - before),
    }


def run_case(examples, batch_size, num_epochs, drop_last):
    data = TensorDataset(torch.ones(examples, 1))
    loader = DataLoader(
        data, batch_size=batch_size, shuffle=True, drop_last=drop_last
    )
    return plain_loop(loader, num_epochs)


class Stream(IterableDataset):
    """Examples that come one by one; nobody knows how many."""

    def __iter__(self):
        for _ in range(STREAMED[0]):
            yield (torch.ones(1),)


counts = count_all(run_case)
counts["streamed", *STREAMED] = plain_loop(
    DataLoader(Stream(), batch_size=STREAMED[1]), STREAMED[2]
)

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
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    nn.init.kaiming_uniform_(
        model[0].weight, nonlinearity="relu", generator=random
    )
    nn.init.xavier_uniform_(model[2].weight, generator=random)
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    return model


def tensors(examples):
    return torch.tensor(x[examples]), torch.tensor(y[examples]).long()


loss_of = nn.functional.cross_entropy

# %% [markdown]
# ## Weigh the last partial batch
#
# The gradient of the loss at an example's input shows how much the example
# counts in its batch: nothing else in the batch reaches that input.


# %%
def input_gradients(count):
    """Size of the gradient at each of the first inputs, in float64."""
    inputs, labels = tensors(slice(count))
    inputs = inputs.double().requires_grad_()
    loss_of(build_model(FIRST_SEED).double()(inputs), labels).backward()
    return inputs.grad.norm(dim=1).numpy()


of_partial, of_full = map(input_gradients, (left_over, REFERENCE_BATCH_SIZE))
partial_weights = of_partial / of_full[:left_over]

# %% [markdown]
# ## Compare the loss of an epoch with what is printed
#
# At a rate of zero the weights stay, so that only the averaging can differ.
# The usual loop prints the sum of the batch losses over their number.

# %%
model = build_model(FIRST_SEED)
losses = {"true": [], "usual": [], "batches": []}
with torch.no_grad():
    for order in left_over_orders():
        inputs, labels = tensors(order)
        loader = DataLoader(
            TensorDataset(inputs, labels), batch_size=LEFT_OVER_BATCH_SIZE
        )
        each = [loss_of(model(batch), part).item() for batch, part in loader]
        losses["true"].append(loss_of(model(inputs), labels).item())
        losses["batches"].append(each)
        losses["usual"].append(sum(each) / len(loader))

# %% [markdown]
# ## Take the gradient of all examples
#
# In float64.


# %%
def full_gradient(seed, examples):
    model = build_model(seed).double()
    inputs, labels = tensors(examples)
    loss_of(model(inputs.double()), labels).backward()
    return np.concatenate(
        [parameter.grad.numpy().ravel() for parameter in model.parameters()]
    )


distances = gradient_distances(full_gradient)

# %% [markdown]
# ## Time an epoch
#
# The plain loop, as a reader would write it.


# %%
def prepare(batch_size):
    model = build_model(FIRST_SEED)
    examples = TensorDataset(*tensors(slice(NUM_TRAIN)))
    loader = DataLoader(examples, batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def epoch():
        updates = 0
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss_of(model(inputs), labels).backward()
            optimizer.step()
            updates += 1
        return updates

    return epoch


timed = time_epochs(prepare)

# %% [markdown]
# ## Train
#
# Plain descent, `w -= learning_rate * gradient`. The weights of all seeds at
# all rates are stacked, and one matrix product serves all of them.

# %%
models = [build_model(seed) for seed in SEEDS]


def start(rates):
    stacked = [
        torch.stack(weights)
        .detach()
        .repeat(len(rates) // NUM_SEEDS, *[1] * weights[0].dim())
        .requires_grad_()
        for weights in zip(*(model.parameters() for model in models))
    ]
    each_rate = [
        torch.from_numpy(rates).reshape(-1, *[1] * (weights.dim() - 1))
        for weights in stacked
    ]
    inputs, labels = tensors(slice(NUM_TRAIN))
    check, check_labels = tensors(slice(NUM_TRAIN, None))
    check = check.expand(len(rates), -1, -1)
    check_labels = check_labels.expand(len(rates), -1)

    def predict(batch):
        kernel, bias, last_kernel, last_bias = stacked
        hidden = torch.baddbmm(bias[:, :, None], kernel, batch.mT).relu()
        return torch.baddbmm(last_bias[:, :, None], last_kernel, hidden)

    def advance(order, batch_size):
        for batch in torch.from_numpy(order).split(batch_size, dim=1):
            outputs = predict(inputs[batch])
            # Each model's own mean; a sum keeps their gradients apart.
            loss = loss_of(outputs, labels[batch], reduction="sum")
            gradients = torch.autograd.grad(loss / batch.shape[1], stacked)
            with torch.no_grad():
                for weight, rate, gradient in zip(
                    stacked, each_rate, gradients
                ):
                    weight.sub_(rate * gradient)

    @torch.no_grad()
    def look():
        outputs = predict(check)
        losses = loss_of(outputs, check_labels, reduction="none")
        hits = (outputs.argmax(1) == check_labels).float()
        return losses.numpy(), hits.numpy()

    return advance, look


runs = train_all(start)

# %% [markdown]
# ## What was found

# %%
results = what_a_batch_is_findings(
    orders, counts, partial_weights, losses, distances, timed, runs
)
