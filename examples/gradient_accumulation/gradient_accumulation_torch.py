# %% [markdown]
# # Gradient accumulation: where it equals the large batch (PyTorch)
#
# Compares updates from micro-batches with those of the whole batch, makes the
# usual mistakes on purpose, and measures what each of them costs.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import torch
from torch import nn

from gradient_accumulation_findings import gradient_accumulation_findings
from gradient_accumulation_problem import *
from snippets.accumulate_gradients_torch import accumulate_gradients_torch
from snippets.estimate_memory_torch import estimate_memory_torch

# %% [markdown]
# ## Device
#
# The device is found.

# %%
on_gpu = torch.cuda.is_available()
device = torch.device("cuda" if on_gpu else "cpu")
# Float32 in full on a GPU too.
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False

# %% [markdown]
# ## Network
#
# It works on sequences as it is.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    # The initial weights that Keras draws.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def loss_of_each(outputs, labels):
    # PyTorch wants the classes second.
    outputs = outputs.movedim(-1, 1)
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


def build_optimizer(kind, parameters, rate, epsilon=EPSILON):
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM)
    return torch.optim.Adam(parameters, lr=rate, eps=epsilon)


# %% [markdown]
# ## Accumulate by hand
#
# All seeds at once: their weights and examples are stacked, and no seed's
# gradient depends on another's. `accumulate` adds to the gradients, `update`
# uses them, `reset` forgets them.


# %%
def forward(parameters, x):
    kernel, bias, last_kernel, last_bias = parameters
    hidden = torch.relu(torch.baddbmm(bias, x, kernel))
    return torch.baddbmm(last_bias, hidden, last_kernel)


class Training:
    """Stacked networks of all seeds with their gradients and optimizer."""

    def __init__(self, kind, rate, precision, epsilon=EPSILON):
        models = [build_model(seed) for seed in seeds]
        self.parameters = []
        for layer in (0, 2):
            kernels = [model[layer].weight.detach().T for model in models]
            biases = [model[layer].bias.detach()[None] for model in models]
            self.parameters += [torch.stack(kernels), torch.stack(biases)]
        self.dtype = getattr(torch, precision)
        self.parameters = [
            each.to(device, self.dtype).requires_grad_()
            for each in self.parameters
        ]
        self.optimizer = build_optimizer(kind, self.parameters, rate, epsilon)

    def accumulate(self, group, shares):
        """Add the gradients of the micro-batches' mean losses, times shares."""
        rows = np.arange(NUM_SEEDS)[:, None]
        for part, share in zip(group, shares):
            x = torch.tensor(x_train[rows, part]).to(device, self.dtype)
            y = torch.tensor(y_train[rows, part]).to(device)
            outputs = forward(self.parameters, x)
            losses = loss_of_each(outputs.flatten(0, 1), y.flatten())
            # A sum over seeds, each of which has its own weights.
            (losses.sum() / y.shape[1] * share).backward()

    def update(self):
        self.optimizer.step()

    def reset(self):
        self.optimizer.zero_grad()

    def gradient(self):
        return seed_rows([each.grad for each in self.parameters])

    def weights(self):
        return seed_rows([each.detach() for each in self.parameters])

    def accuracy(self, x, y):
        with torch.no_grad():
            x = torch.tensor(x).to(device, self.dtype)
            chosen = forward(self.parameters, x).argmax(dim=2)
        return (chosen.cpu().numpy() == y).mean(axis=1)


def seed_rows(parameters):
    """[seeds, weights]: the arrays of all layers, side by side."""
    rows = [each.reshape(NUM_SEEDS, -1) for each in parameters]
    return torch.cat(rows, dim=1).double().cpu().numpy()


gradients = compare_gradients(Training)
# After training; a forgotten division after a few updates as well.
powers, points = make_mistakes(Training)
undivided = forget_division(Training, powers)

# %% [markdown]
# ## Accumulate with the function of the page
#
# One ordinary model of one seed.


# %%
def flat_weights(model):
    flat = nn.utils.parameters_to_vector(model.parameters())
    return flat.detach().double().cpu().numpy().copy()


class OneModel:
    def __init__(self, number, kind, rate, precision):
        model = build_model(seeds[number])
        self.model = model.to(device, getattr(torch, precision))
        self.optimizer = build_optimizer(kind, self.model.parameters(), rate)

    def update(self, *batch):
        accumulate_gradients_torch(
            self.model, loss_of_each, self.optimizer, *batch
        )

    def weights(self):
        return flat_weights(self.model)


def sequence_model(number):
    return OneModel(number, "sgd", 1.0, "float64")


weights = compare_weights(OneModel)
tokens = compare_tokens(sequence_model)

# %% [markdown]
# ## Count what is saved for the backward pass
#
# Bytes of one forward pass that the backward pass needs, without the weights,
# counted by PyTorch's hooks.

# %%
saved = {}
for size in [BATCH_SIZE, *MICRO_BATCH_SIZES]:
    # Of two examples at least, of which it then takes half.
    first = slice(max(2, size))
    found = estimate_memory_torch(
        build_model(FIRST_SEED).to(device),
        nn.functional.cross_entropy,
        torch.tensor(x_train[0, first]).to(device),
        torch.tensor(y_train[0, first]).to(device),
    )
    saved[size] = found["activations"] + size * found["per_example"]
print("bytes saved:", saved)

# %% [markdown]
# ## Time it
#
# A plain loop over one batch in micro-batches, with an update at its end; and
# the same with an update after each micro-batch. Processor time of one
# thread, and on a GPU the time that passes.


# %%
class PlainTraining:
    """The loop that a reader would write."""

    def __init__(self):
        self.model = build_model(FIRST_SEED).to(device)
        self.optimizer = build_optimizer("sgd", self.model.parameters(), 0.01)
        self.x = torch.tensor(x_train[0]).to(device)
        self.y = torch.tensor(y_train[0]).to(device)

    def one_batch(self, micro_batch_size, update_each):
        passes = 1 if update_each else BATCH_SIZE // micro_batch_size
        for start in range(0, BATCH_SIZE, micro_batch_size):
            part = slice(start, start + micro_batch_size)
            outputs = self.model(self.x[part])
            loss = nn.functional.cross_entropy(outputs, self.y[part])
            (loss / passes).backward()
            if update_each or start + micro_batch_size == BATCH_SIZE:
                self.optimizer.step()
                self.optimizer.zero_grad()


plain = {how: PlainTraining() for how in ("accumulate", "update")}


def now():
    if on_gpu:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def timed(how, micro_batch_size, batches):
    begin = now()
    for _ in range(batches):
        plain[how].one_batch(micro_batch_size, how == "update")
    return now() - begin


seconds = take_turns(timed)

# %% [markdown]
# ## What the framework's own way does
#
# PyTorch has no accumulation of its own: `backward` adds to the gradients
# that are there. First, before a group is complete: which weights move, and
# what four backward passes add up to. Then the two unequal micro-batches at
# the end, as one group.

# %%
own_x = torch.tensor(x_train[0]).to(device).double()
own_y = torch.tensor(y_train[0]).to(device)
parts = [part[0] for part in first_examples(NUM_TRAIN, MICRO_BATCH_SIZE)]
group = parts[:ACCUMULATION_STEPS]


def mean_loss(model, part):
    return nn.functional.cross_entropy(model(own_x[part]), own_y[part])


def sum_of_gradients(parts, divisor=1):
    """(what `backward` adds up over the parts, the model)."""
    model = build_model(FIRST_SEED).to(device).double()
    for part in parts:
        (mean_loss(model, part) / divisor).backward()
    added = [each.grad.flatten() for each in model.parameters()]
    return torch.cat(added).cpu().numpy(), model


added, model = sum_of_gradients(group)
before = flat_weights(build_model(FIRST_SEED))
whole, _ = sum_of_gradients([np.concatenate(group)])
model.float()
own = {
    "moved_early": np.abs(flat_weights(model) - before).max(),
    "gradient_over_mean": np.linalg.norm(added) / np.linalg.norm(whole),
    "weight_bytes": sum(each.nbytes for each in model.parameters()),
    "accumulator_bytes": sum(each.grad.nbytes for each in model.parameters()),
}

unequal = parts[-2:]
halves, _ = sum_of_gradients(unequal, divisor=2)
whole, _ = sum_of_gradients([np.concatenate(unequal)])
means = [sum_of_gradients([part])[0] for part in unequal]
own["from_batch"] = relative(halves - whole, whole)
own["from_mean_of_means"] = relative(halves - sum(means) / 2, whole)

# %% [markdown]
# An epoch of the usual loop, and the first update of the next one.

# %%
model = build_model(FIRST_SEED).to(device).double()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda count: 1.0)
# Of the passes whose gradients wait, and of the updates made.
waiting_examples, passes_of_updates = [], []


def usual_loop(parts):
    for index, part in enumerate(parts):
        (mean_loss(model, part) / ACCUMULATION_STEPS).backward()
        waiting_examples.append(len(part))
        if (index + 1) % ACCUMULATION_STEPS == 0:
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            passes_of_updates.append(len(waiting_examples))
            waiting_examples.clear()


usual_loop(parts)
kept = any(each.grad is not None for each in model.parameters())
own |= {
    "passes": len(parts),
    "updates": len(passes_of_updates),
    "schedule_count": schedule.last_epoch,
    "examples_left_over": sum(waiting_examples) if kept else 0,
}
usual_loop(group)
own["passes_in_next_update"] = passes_of_updates[-1]
print(own)

# %% [markdown]
# ## What was found

# %%
results = gradient_accumulation_findings(
    gradients, weights, tokens, undivided, powers, points, saved, seconds, own
)
