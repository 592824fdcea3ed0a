# %% [markdown]
# # Memory and batch size (PyTorch)
#
# Predicts by formula what memory training takes, and measures it: in what the
# framework keeps for the backward pass, and in what a process takes.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import resource
import time

import torch
from torch import nn

from memory_findings import memory_findings
from memory_problem import *
from snippets.checkpoint_activations_torch import (
    checkpoint_activations_torch,
)
from snippets.estimate_memory_torch import estimate_memory_torch
from snippets.use_mixed_precision_torch import use_mixed_precision_torch

# %% [markdown]
# ## Device
#
# The device is found.

# %%
ON_GPU = torch.cuda.is_available()
device = "cuda" if ON_GPU else "cpu"

# %% [markdown]
# ## Three networks
#
# A multilayer perceptron with many parameters, a convolutional network with
# few, and a small transformer that predicts the next character. Their data
# are random: memory does not depend on what the numbers are.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    layers, inputs = [], NUM_FEATURES
    for outputs in (HIDDEN_UNITS, HIDDEN_UNITS, NUM_CLASSES):
        layer = nn.Linear(inputs, outputs)
        # The initial weights that Keras draws.
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers[:-1])


def build_cnn(seed):
    torch.manual_seed(seed)
    first, second, third = CHANNELS
    return nn.Sequential(
        nn.Conv2d(IMAGE_CHANNELS, first, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(second, third, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(third, NUM_CLASSES),
    )


def build_transformer(seed):
    """Its blocks are in `model.blocks`."""
    torch.manual_seed(seed)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
            self.into = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
            self.out = nn.Linear(WIDTH, WIDTH)
            self.feed_forward = nn.Sequential(
                nn.Linear(WIDTH, FEED_FORWARD),
                nn.ReLU(),
                nn.Linear(FEED_FORWARD, WIDTH),
            )

        def forward(self, x):
            shape = (-1, SEQUENCE_LENGTH, HEADS, WIDTH // HEADS)
            normed = self.norms[0](x)
            query, key, value = (
                layer(normed).reshape(shape).transpose(1, 2)
                for layer in self.into
            )
            query = query * (WIDTH // HEADS) ** -0.5
            weights = (query @ key.transpose(2, 3)).softmax(dim=-1)
            context = (weights @ value).transpose(1, 2)
            context = context.reshape(-1, SEQUENCE_LENGTH, WIDTH)
            x = x + self.out(context)
            return x + self.feed_forward(self.norms[1](x))

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, WIDTH)
            self.blocks = nn.Sequential(*(Block() for _ in range(NUM_BLOCKS)))
            self.norm = nn.LayerNorm(WIDTH)
            self.logits = nn.Linear(WIDTH, VOCABULARY)

        def forward(self, x):
            return self.logits(self.norm(self.blocks(self.embedding(x))))

    return Transformer()


def build(kind, seed=0, mode="plain"):
    networks = {
        "mlp": build_model,
        "cnn": build_cnn,
        "transformer": build_transformer,
    }
    model = networks[kind](seed)
    if mode == "checkpoint":
        checkpoint_activations_torch(model, model.blocks)
    return model.to(device)


def make_data(kind, batch_size, seed=0):
    """Inputs and labels of one batch."""
    random = torch.Generator().manual_seed(seed)
    if kind == "transformer":
        text = (batch_size, SEQUENCE_LENGTH + 1)
        text = torch.randint(VOCABULARY, text, generator=random)
        return text[:, :-1].clone().to(device), text[:, 1:].clone().to(device)
    shape = (batch_size, NUM_FEATURES)
    if kind == "cnn":
        shape = (batch_size, IMAGE_CHANNELS, IMAGE_SIDE, IMAGE_SIDE)
    inputs = torch.randn(shape, generator=random)
    labels = torch.randint(NUM_CLASSES, (batch_size,), generator=random)
    return inputs.to(device), labels.to(device)


def mean_loss(outputs, labels):
    """Cross-entropy, over all positions where there are several."""
    return nn.functional.cross_entropy(
        outputs.reshape(-1, outputs.shape[-1]), labels.reshape(-1)
    )


def make_optimizer(name, model):
    if name == "adam":
        return torch.optim.Adam(model.parameters(), LEARNING_RATE, eps=1e-7)
    momentum = MOMENTUM if name == "momentum" else 0.0
    return torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=momentum)


def loss_of(model, inputs, labels, mode="plain"):
    with torch.autocast(device, torch.bfloat16, enabled=mode == "bfloat16"):
        outputs = model(inputs)
    return mean_loss(outputs.float(), labels)


def make_update(model, optimizer, mode="plain"):
    """A function that makes one update and returns the loss before it."""
    if mode == "bfloat16":
        return use_mixed_precision_torch(model, optimizer, mean_loss)

    def update(inputs, labels):
        optimizer.zero_grad()
        loss = loss_of(model, inputs, labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return update


def start_training(kind, name, mode="plain"):
    """The updates of a new network."""
    model = build(kind, mode=mode)
    return make_update(model, make_optimizer(name, model), mode)


# %% [markdown]
# ## What the framework keeps
#
# Counted by the framework's own hooks, before any training; and the state that
# each optimizer really has after one update.

# %%
estimates = {
    kind: estimate_memory_torch(build(kind), mean_loss, *make_data(kind, 8))
    for kind in KINDS
}
states = {}
for name in STATE_VALUES:
    model = build("mlp")
    optimizer = make_optimizer(name, model)
    make_update(model, optimizer)(*make_data("mlp", 8))
    states[name] = sum(
        each.numel() * each.element_size()
        for state in optimizer.state.values()
        for each in state.values()
        if isinstance(each, torch.Tensor)
    )
print(estimates)

# %% [markdown]
# ## What a process takes
#
# The process imports PyTorch and forks once for each measurement. What it took
# before the model was built does not count. On a GPU, the allocator counts
# instead.


# %%
def read_memory(highest=False):
    """Memory of this process, or of the GPU, in bytes."""
    if not ON_GPU:
        return read_resident(highest)
    if highest:
        return torch.cuda.max_memory_allocated()
    return torch.cuda.memory_allocated()


def measure_peak(kind, name, mode, batch_sizes):
    """For each size, bytes needed at most, above what was there before."""
    # Brings in the code of the framework, which is not ours to count.
    tiny = torch.nn.Linear(4, 4).to(device)
    update = make_update(tiny, make_optimizer(name, tiny))
    update(torch.ones(4, 4).to(device), torch.zeros(4).long().to(device))
    gc.collect()
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
    before, found = read_memory(), []
    update = start_training(kind, name, mode)
    # The first update makes the optimizer's state.
    for size in (2, *batch_sizes):
        batch = make_data(kind, size)
        update(*batch)
        del batch
        found.append(read_memory(highest=True) - before)
    return found[1:]


imports = ["import functools, gc, os, resource, sys", "import torch"]
imports += ["from torch import nn"]
imports += ["from torch.utils.checkpoint import checkpoint"]
imports += [f"device = {device!r}"]
networks = (build_model, build_cnn, build_transformer, build, make_data)
networks += (mean_loss, loss_of, make_optimizer, make_update, start_training)
networks += (checkpoint_activations_torch, use_mixed_precision_torch)
measuring = (in_forks, read_memory, read_resident, measure_peak)
source = source_of(globals(), imports, *networks, *measuring)
peaks = measure_tasks(measure_peak, source, ON_GPU)
print(peaks)

# %% [markdown]
# ## Checkpoints and bfloat16
#
# What is held when the forward pass of the transformer has ended, as the
# allocator counts it; the gradient; and the time of an update. PyTorch's hooks
# do not see what a checkpoint keeps, its allocator does.


# %%
def held_per_example(mode):
    """Bytes that the graph of one more example holds."""
    held = []
    for size in (TIMED_BATCH_SIZE // 2, TIMED_BATCH_SIZE):
        model = build("transformer", mode=mode)
        batch = make_data("transformer", size)
        if ON_GPU:
            before = read_memory()
            loss = loss_of(model, *batch, mode)
            held.append(read_memory() - before)
        else:
            with torch.profiler.profile(profile_memory=True) as profile:
                loss = loss_of(model, *batch, mode)
            events = profile.key_averages()
            held.append(sum(each.self_cpu_memory_usage for each in events))
        del loss
    return 2 * (held[1] - held[0]) / TIMED_BATCH_SIZE


def gradient_of(mode):
    """All gradients of one batch as one vector."""
    model = build("transformer", mode=mode)
    batch = make_data("transformer", TIMED_BATCH_SIZE)
    loss_of(model, *batch, mode).backward()
    parts = [each.grad.flatten() for each in model.parameters()]
    return torch.cat(parts).cpu().numpy()


def clock():
    """Processor time; on a GPU the time when its work is done."""
    if ON_GPU:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


batch = make_data("transformer", TIMED_BATCH_SIZE)
held, gradients, seconds, losses = compare_modes(
    held_per_example, gradient_of, start_training, batch, clock
)

# %% [markdown]
# ## The largest batch that fits
#
# The process may take only so much more memory than it has, as the system (on
# a GPU, the allocator) enforces it.


# %%
def search_batch():
    """What the search found, and whether training goes on after it."""
    update = start_training("transformer", "adam")

    def train_on(batch_size):
        update(*make_data("transformer", batch_size))

    # Makes the optimizer's state.
    train_on(2)
    machine = "gpu" if ON_GPU else "cpu"
    budget = BUDGETS_MIB[machine] * 2**20
    if ON_GPU:
        total = torch.cuda.get_device_properties(0).total_memory
        share = (torch.cuda.memory_reserved() + budget) / total
        torch.cuda.set_per_process_memory_fraction(share)
    else:
        with open("/proc/self/statm") as stream:
            taken = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + budget, -1))
    return search(train_on, machine)


searching = (find_largest_batch, search, search_batch)
source = source_of(globals(), imports, *networks, *searching)
searched = run_in_fresh_process(source, "search_batch", [], MALLOC)
print("budget in MiB, largest batch, errors:", *searched)

# %% [markdown]
# ## What was found

# %%
results = memory_findings(
    estimates, states, peaks, held, gradients, seconds, losses, searched
)
