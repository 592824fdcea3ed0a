# %% [markdown]
# # How many examples per second (PyTorch)
#
# Measures the time of an update against batch size for three networks, how
# far that is from the machine's limit, and the time to a target accuracy.
#
# - Install: `pip install torch scipy mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the result does not depend on the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import torch
from torch import nn

from snippets.build_mlp_torch import build_mlp_torch
from snippets.measure_throughput_torch import measure_throughput_torch
from snippets.time_in_turns import time_in_turns
from snippets.train_rates_torch import train_rates_torch
from throughput_findings import throughput_findings
from throughput_problem import *

# %% [markdown]
# ## Device
#
# Float32 in full, in the networks as in the product that is the limit.

# %%
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False
on_gpu = torch.cuda.is_available()
machine = "gpu" if on_gpu else "cpu"
device = torch.device("cuda" if on_gpu else "cpu")
widths, batch_sizes = settings_for(machine)


def wait():
    if on_gpu:
        torch.cuda.synchronize()


# %% [markdown]
# ## Networks
#
# A multilayer perceptron, a convolutional network and a transformer.


# %%
IMAGE_SHAPE = (1, IMAGE_SIZE, IMAGE_SIZE)


def build_mlp(seed, width):
    return build_mlp_torch([NUM_FEATURES, width, width, NUM_CLASSES], seed)


def build_cnn(seed, width):
    torch.manual_seed(seed)
    layers = []
    for inputs, outputs in ((1, width), (width, 2 * width)):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
    features = 2 * width * (IMAGE_SIZE // 4) ** 2
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(features, NUM_CLASSES)
    )


class Transformer(nn.Module):
    def __init__(self, width):
        super().__init__()
        shape = {"batch_first": True, "norm_first": True}
        block = nn.TransformerEncoderLayer(
            width, NUM_HEADS, 4 * width, 0.0, "gelu", **shape
        )
        self.embed = nn.Embedding(VOCABULARY, width)
        self.blocks = nn.TransformerEncoder(
            block, NUM_BLOCKS, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, VOCABULARY)
        mask = nn.Transformer.generate_square_subsequent_mask(TEXT_LENGTH)
        self.register_buffer("mask", mask)

    def forward(self, tokens):
        x = self.blocks(self.embed(tokens), mask=self.mask, is_causal=True)
        return self.head(x)


def build_transformer(seed, width):
    torch.manual_seed(seed)
    return Transformer(width)


builders = {
    "mlp": build_mlp,
    "cnn": build_cnn,
    "transformer": build_transformer,
}


def build(name, seed=FIRST_SEED):
    kind = name.removeprefix("wide_")
    return builders[kind](seed, widths[name]).to(device)


def loss_function(outputs, labels):
    """The mean over examples, and over the characters of a text."""
    return nn.functional.cross_entropy(outputs.flatten(0, -2), labels.flatten())


def with_optimizer(name):
    model = build(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=1e-7)
    return model, optimizer


num_weights = {
    name: sum(weight.numel() for weight in build(name).parameters())
    for name in widths
}
print("weights:", num_weights)

# %% [markdown]
# ## The machine's limit
#
# A large product of matrices and a large copy.

# %%
matrix = torch.rand(MATRIX_SIZE[machine], MATRIX_SIZE[machine], device=device)
source = torch.rand(COPIED_NUMBERS[machine], device=device)
target = torch.empty_like(source)


def multiply():
    matrix @ matrix
    wait()


def copy_memory():
    target.copy_(source)
    wait()


limits = {"product": multiply, "copy": copy_memory}
limit_seconds = time_in_turns(limits, NUM_REPEATS, 0, time.perf_counter)

# %% [markdown]
# ## Throughput
#
# Plain loops; the sizes of a network take turns in random order.

# %%


def measure(name):
    return measure_throughput_torch(
        *with_optimizer(name),
        loss_function,
        *random_data(name, max(batch_sizes[name]), IMAGE_SHAPE),
        batch_sizes[name],
        num_repeats=NUM_REPEATS,
        block_seconds=BLOCK_SECONDS,
    )


throughput = {name: measure(name) for name in widths}

# %% [markdown]
# ## The first update
#
# A plain loop again.


# %%
def start():
    model, optimizer = with_optimizer("mlp")
    x, y = (
        torch.tensor(each, device=device)
        for each in random_data("mlp", FIRST_BATCH_SIZE, None)
    )

    def update(size):
        optimizer.zero_grad()
        loss_function(model(x[:size]), y[:size]).backward()
        optimizer.step()
        wait()

    return update


first_seconds = time_first_updates(start)

# %% [markdown]
# ## Train to the target
#
# `train_rates_torch` trains all seeds and rates of a batch size at once.


# %%
def train(seeds, rates, parts, phases, looks, **options):
    models = [build("mlp", seed) for seed in seeds]
    fit, validation, test = (
        [torch.tensor(array) for array in part] for part in parts
    )
    check = {"validation": validation, "test": test}
    return train_rates_torch(
        models, rates, *fit, phases, looks, check, **options
    )


runs = train_to_target(train)

# %% [markdown]
# ## What was found

# %%
results = throughput_findings(
    machine, num_weights, throughput, limit_seconds, first_seconds, runs
)
