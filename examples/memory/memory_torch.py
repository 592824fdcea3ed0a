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
import inspect
import resource
import time

import numpy as np
import torch
from torch import nn

from snippets.checkpoint_activations_torch import (
    checkpoint_activations_torch,
)
from snippets.estimate_memory_torch import estimate_memory_torch
from snippets.find_largest_batch import find_largest_batch
from snippets.mean_interval import mean_interval
from snippets.run_in_fresh_process import run_in_fresh_process
from snippets.use_mixed_precision_torch import use_mixed_precision_torch

# %% [markdown]
# ## Settings
#
# The device is found. `SHORT = True` gives a run of seconds, to see it work;
# its numbers mean nothing. The processes below read their memory as Linux
# tells it.

# %%
SHORT = False

# The three networks of the straight line; sizes per example.
NUM_FEATURES = 256
HIDDEN_UNITS = 1024
NUM_CLASSES = 10
IMAGE_SIDE = 32
IMAGE_CHANNELS = 3
CHANNELS = [32, 32, 64]
SEQUENCE_LENGTH = 64
VOCABULARY = 64
WIDTH = 64
HEADS = 4
FEED_FORWARD = 256
NUM_BLOCKS = 2

KINDS = ["mlp", "cnn", "transformer"]
BATCH_SIZES = {
    "mlp": [1024, 2048, 4096],
    "cnn": [32, 64, 128],
    "transformer": [8, 16, 32, 64, 128],
}
# Numbers that an optimizer keeps for each parameter.
STATE_VALUES = {"sgd": 0, "momentum": 1, "adam": 2}
LEARNING_RATE = 0.001
MOMENTUM = 0.9
# Processes for each point of the straight line.
NUM_PROCESSES = 1 if SHORT else 2
# Updates per epoch are counted with these, on this many examples.
UPDATE_SIZES = [256, 512, 1024]
UPDATE_EXAMPLES = 1024

# The search runs in a process that has this much memory, in MiB.
BUDGETS_MIB = {"cpu": 112, "gpu": 1024}
# Examples; TensorFlow waits ten seconds before it gives up, so tries are few.
SEARCH_LARGEST = {"cpu": 192, "gpu": 3072}
SEARCH_MULTIPLE = 32
# Training goes on with this share of what the search found.
ROOM = 0.9

# The transformer, with and without what saves memory.
MODES = ["plain", "checkpoint", "bfloat16"]
# Its two largest batch sizes.
MODE_SIZES = [64, 128]
TIMED_BATCH_SIZE = 8 if SHORT else 16
TIMED_REPEATS = 2 if SHORT else 10

# The example: so many images of this side, on a device of so many GiB.
EXAMPLE_IMAGES = 64
EXAMPLE_SIDE = 512
SMALL_SIDE = 224
DEVICE_GIB = 4
MNIST_SIDE = 28
MNIST_BATCH_SIZE = 256
ARCHITECTURES = ["vgg16", "resnet50", "mobilenetv2"]

# A relative difference of gradients below this is rounding, in float32.
ROUNDING = 1e-4
# "Close" to the loss of float32 is within this share of it, and "nearly" is at
# least this share. Set beforehand.
CLOSE = 0.02
NEARLY = 0.9
# The smallest number that float16 holds, and the smallest with all digits.
FLOAT16_SMALLEST = 2.0**-24
FLOAT16_NORMAL = 2.0**-14

# %% [markdown]
# ## Device

# %%
on_gpu = torch.cuda.is_available()
machine = "gpu" if on_gpu else "cpu"
device = "cuda" if on_gpu else "cpu"

# %% [markdown]
# ## Three networks
#
# A multilayer perceptron with many parameters, a convolutional network with
# few, and a small transformer that predicts the next character. Their data
# are random: memory does not depend on what the numbers are.


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
    # The initial weights that Keras draws.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


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
    if kind == "mlp":
        return build_model(seed).to(device)
    model = build_cnn(seed) if kind == "cnn" else build_transformer(seed)
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


# %% [markdown]
# ## What the framework keeps
#
# Counted by the framework's own hooks, before any training; and the state
# that each optimizer really has after one update.

# %%
estimates, states = {}, {}
for kind in KINDS:
    batch = make_data(kind, 8)
    estimates[kind] = estimate_memory_torch(build(kind), mean_loss, *batch)
    for name in STATE_VALUES:
        model = build(kind)
        optimizer = make_optimizer(name, model)
        make_update(model, optimizer)(*batch)
        states[kind, name] = sum(
            each.numel() * each.element_size()
            for state in optimizer.state.values()
            for each in state.values()
            if isinstance(each, torch.Tensor)
        )
    print(kind, estimates[kind])

# %% [markdown]
# ## What a process takes
#
# One process imports PyTorch and forks once for each measurement, so that none
# finds memory that another has left. It reads its highest resident memory, less
# what it took before the model was built. Batch sizes grow, so that the highest
# is that of the last; in half precision something stays of each size, so there
# each has a fork. On a GPU, the allocator counts instead.


# %%
def read_memory(highest=False):
    """Resident memory of this process, or memory of the GPU, in bytes."""
    if on_gpu and highest:
        return torch.cuda.max_memory_allocated()
    if on_gpu:
        return torch.cuda.memory_allocated()
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith("VmHWM:" if highest else "VmRSS:"):
                return 1024 * int(line.split()[1])


def measure_peak(kind, name, mode, batch_sizes):
    """For each size, bytes needed at most, above what was there before."""
    # Brings in the code of the framework, which is not ours to count.
    tiny = torch.nn.Linear(4, 4).to(device)
    update = make_update(tiny, make_optimizer(name, tiny))
    update(torch.ones(4, 4).to(device), torch.zeros(4).long().to(device))
    gc.collect()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    before, found = read_memory(), []
    model = build(kind, mode=mode)
    update = make_update(model, make_optimizer(name, model), mode)
    # The first update makes the optimizer's state.
    for size in (2, *batch_sizes):
        batch = make_data(kind, size)
        update(*batch)
        del batch
        found.append(read_memory(highest=True) - before)
    return found[1:]


def measure_peaks(tasks):
    """`measure_peak` of each task, each in a fork of this process."""
    found = []
    for task in tasks:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, str(measure_peak(*task)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as stream:
            found.append([int(each) for each in stream.read()[1:-1].split(",")])
        os.waitpid(child, 0)
    return found


def source_of(*functions):
    """A Python file with the settings and these functions."""
    names = [name for name in globals() if name.isupper() and name[0] != "_"]
    names += ["on_gpu", "machine", "device"]
    lines = [f"{name} = {globals()[name]!r}" for name in names]
    imports = "import functools, gc, os, resource, sys\nimport torch\n"
    imports += "from torch import nn\n"
    imports += "from torch.utils.checkpoint import checkpoint\n"
    texts = [inspect.getsource(each) for each in functions]
    return "\n".join([imports, *lines, "", *texts])


tasks = [(kind, "adam", "plain", BATCH_SIZES[kind]) for kind in KINDS]
# Only the perceptron has parameters enough to tell the optimizers apart.
largest = BATCH_SIZES["mlp"][-1:]
tasks += [("mlp", name, "plain", largest) for name in ("sgd", "momentum")]
tasks += [
    ("transformer", "adam", mode, [size])
    for mode in MODES[1:]
    for size in MODE_SIZES
]
networks = (build_model, build_cnn, build_transformer, build, make_data)
networks += (mean_loss, loss_of, make_optimizer, make_update, read_memory)
networks += (checkpoint_activations_torch, use_mixed_precision_torch)
source = source_of(*networks, measure_peak, measure_peaks)
# Large pieces of memory go back to the system when they are freed.
malloc = {"MALLOC_MMAP_THRESHOLD_": "65536"}
start = time.monotonic()
repeated = tasks * NUM_PROCESSES
if on_gpu:
    found = [measure_peak(*task) for task in repeated]
else:
    found = run_in_fresh_process(source, "measure_peaks", [repeated], malloc)
# Rows are processes, columns batch sizes.
peaks = {}
for number, (*task, _) in enumerate(tasks):
    peaks.setdefault(tuple(task), []).append(found[number :: len(tasks)])
peaks = {task: np.concatenate(each, axis=1) for task, each in peaks.items()}
print("seconds:", round(time.monotonic() - start))
for task, found in peaks.items():
    print(*task, *found)

# %% [markdown]
# ## Checkpoints and bfloat16
#
# What is held when the forward pass of the transformer has ended, as the
# allocator counts it; the gradient; and the time of an update, interleaved.
# PyTorch's hooks do not see what a checkpoint keeps, its allocator does.


# %%
def held_per_example(mode):
    """Bytes that the graph of one more example holds."""
    held = []
    for size in (TIMED_BATCH_SIZE // 2, TIMED_BATCH_SIZE):
        model = build("transformer", mode=mode)
        batch = make_data("transformer", size)
        if on_gpu:
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
    """All gradients of one batch as one vector, in float64."""
    model = build("transformer", mode=mode)
    batch = make_data("transformer", TIMED_BATCH_SIZE)
    loss_of(model, *batch, mode).backward()
    parts = [each.grad.double().flatten() for each in model.parameters()]
    return torch.cat(parts).cpu().numpy()


def clock():
    """Processor time; on a GPU the time when its work is done."""
    if on_gpu:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


held = {mode: held_per_example(mode) for mode in MODES}
gradients = {mode: gradient_of(mode) for mode in MODES}
batch = make_data("transformer", TIMED_BATCH_SIZE)
updates, losses = {}, {}
for mode in MODES:
    model = build("transformer", mode=mode)
    updates[mode] = make_update(model, make_optimizer("adam", model), mode)
update_seconds = {mode: [] for mode in MODES}
for _ in range(TIMED_REPEATS + 1):
    for mode in MODES:
        start = clock()
        losses[mode] = float(updates[mode](*batch))
        update_seconds[mode].append(clock() - start)
# The first update is not like the others.
update_seconds = {mode: np.array(t[1:]) for mode, t in update_seconds.items()}
print("held:", held)
print("losses:", losses)

# %% [markdown]
# ## The largest batch that fits
#
# A process that may take only so much more memory than it has, as the system
# (on a GPU, the allocator) enforces it, searches; then it trains once more,
# with some room.


# %%
def search_batch():
    """What the search found, and whether training goes on after it."""
    model = build("transformer")
    update = make_update(model, make_optimizer("adam", model))
    tries, errors = [], []

    def try_batch(batch_size):
        tries.append(batch_size)
        try:
            update(*make_data("transformer", batch_size))
        except Exception as error:
            errors.append(type(error).__name__)
            raise

    try_batch(2)
    budget = BUDGETS_MIB[machine] * 2**20
    if on_gpu:
        total = torch.cuda.get_device_properties(0).total_memory
        share = (torch.cuda.memory_reserved() + budget) / total
        torch.cuda.set_per_process_memory_fraction(share)
    else:
        with open("/proc/self/statm") as stream:
            taken = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + budget, -1))
    found = find_largest_batch(
        try_batch,
        SEARCH_LARGEST[machine],
        smallest=SEARCH_MULTIPLE,
        multiple_of=SEARCH_MULTIPLE,
    )
    failed = len(errors)
    try_batch(int(ROOM * found))
    return [found, len(tries) - 2, failed, errors[0]]


source = source_of(*networks, find_largest_batch, search_batch)
found_batch, num_tries, num_failed, error_name = run_in_fresh_process(
    source, "search_batch", [], malloc
)
print("largest batch:", found_batch, "after", num_tries, "tries,", error_name)

# %% [markdown]
# ## One update per batch
#
# What a larger batch is paid with, counted.

# %%
updates_per_epoch = {}
for size in UPDATE_SIZES:
    rows = torch.utils.data.TensorDataset(*make_data("mlp", UPDATE_EXAMPLES))
    loader = torch.utils.data.DataLoader(rows, batch_size=size, shuffle=True)
    model = build("mlp")
    update = make_update(model, make_optimizer("sgd", model))
    updates_per_epoch[size] = 0
    for inputs, labels in loader:
        update(inputs, labels)
        updates_per_epoch[size] += 1

# %% [markdown]
# ## Three architectures
#
# Layer by layer, as they were published.


# %%
def layer_table(name):
    """The published layers of an architecture, from the image on.

    Convolutions are (kind, outputs, kernel, stride, groups); a residual part
    holds the layers of its branch and of its shortcut.
    """
    if name == "vgg16":
        table = []
        for channels, count in (
            (64, 2),
            (128, 2),
            (256, 3),
            (512, 3),
            (512, 3),
        ):
            table += [("bias_conv", channels, 3, 1, 1), ("relu",)] * count
            table += [("max_pool", 2, 2)]
        table += [("mean_pool", 7), ("flatten",)]
        for units in (4096, 4096):
            table += [("dense", units), ("relu",)]
        return [*table, ("dense", 1000)]

    def conv(*sizes):
        return [("conv", *sizes), ("norm",)]

    if name == "resnet50":
        table = [*conv(64, 7, 2, 1), ("relu",), ("max_pool", 3, 2)]
        stages = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
        for width, count, first_stride in stages:
            for block in range(count):
                stride = 1 if block else first_stride
                branch = [*conv(width, 1, 1, 1), ("relu",)]
                branch += [*conv(width, 3, stride, 1), ("relu",)]
                branch += conv(4 * width, 1, 1, 1)
                shortcut = [] if block else conv(4 * width, 1, stride, 1)
                table += [("residual", branch, shortcut), ("relu",)]
        return [*table, ("mean_pool", 1), ("flatten",), ("dense", 1000)]

    table, inputs = [*conv(32, 3, 2, 1), ("relu",)], 32
    stages = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, outputs, count, first_stride in stages:
        for block in range(count):
            stride = 1 if block else first_stride
            width, branch = expansion * inputs, []
            if expansion > 1:
                branch += [*conv(width, 1, 1, 1), ("relu",)]
            branch += [*conv(width, 3, stride, width), ("relu",)]
            branch += conv(outputs, 1, 1, 1)
            if stride == 1 and inputs == outputs:
                branch = [("residual", branch, [])]
            table += branch
            inputs = outputs
    table += [*conv(1280, 1, 1, 1), ("relu",), ("mean_pool", 1)]
    return [*table, ("flatten",), ("dense", 1000)]


def build_architecture(table, channels=3, side=None):
    """A network of these layers, and its number of channels."""
    layers = []
    for kind, *sizes in table:
        if kind in ("conv", "bias_conv"):
            outputs, kernel, stride, groups = sizes
            layers += [
                nn.Conv2d(
                    channels,
                    outputs,
                    kernel,
                    stride,
                    kernel // 2,
                    groups=groups,
                    bias=kind == "bias_conv",
                )
            ]
            channels = outputs
        elif kind == "norm":
            layers += [nn.BatchNorm2d(channels)]
        elif kind == "relu":
            layers += [nn.ReLU(inplace=True)]
        elif kind == "max_pool":
            layers += [nn.MaxPool2d(*sizes, padding=(sizes[0] - 1) // 2)]
        elif kind == "mean_pool":
            layers += [nn.AdaptiveAvgPool2d(sizes[0])]
            side = sizes[0]
        elif kind == "flatten":
            layers += [nn.Flatten()]
            channels *= side**2
        elif kind == "dense":
            layers += [nn.Linear(channels, sizes[0])]
            channels = sizes[0]
        elif kind == "residual":
            branch, outputs = build_architecture(sizes[0], channels)
            shortcut, _ = build_architecture(sizes[1], channels)
            layers += [Residual(branch, shortcut)]
            channels = outputs
    return nn.Sequential(*layers), channels


class Residual(nn.Module):
    def __init__(self, branch, shortcut):
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x):
        return self.branch(x) + self.shortcut(x)


# The meta device computes nothing and takes no memory.
counted = {}
for name in ARCHITECTURES:
    with torch.device("meta"):
        model, _ = build_architecture(layer_table(name))
        inputs = torch.zeros(4, 3, EXAMPLE_SIDE, EXAMPLE_SIDE)
        labels = torch.zeros(4, dtype=torch.int64)
    counted[name] = estimate_memory_torch(model, mean_loss, inputs, labels)
    print(name, counted[name])

# %% [markdown]
# ## Measure
#
# The formulas: what the gradient of each layer needs. A linear layer needs its
# input, ReLU its output, normalisation its input, softmax its output. What two
# of them need is kept once.


# %%
def count_layers(table, shape):
    """Parameters; and for each tensor kept of an image, (elements, side)."""
    kept, parameters, made = {}, 0, [0]

    def walk(table, number, shape):
        nonlocal parameters
        for kind, *sizes in table:
            channels, side = shape
            if kind in ("conv", "bias_conv", "dense", "norm", "max_pool"):
                kept[number] = (channels * side**2, side)
            if kind in ("conv", "bias_conv"):
                outputs, kernel, stride, groups = sizes
                parameters += outputs * channels // groups * kernel**2
                parameters += outputs if kind == "bias_conv" else 0
                shape = (outputs, -(-side // stride))
            elif kind == "norm":
                parameters += 2 * channels
            elif kind == "max_pool":
                shape = (channels, side // sizes[1])
            elif kind == "mean_pool":
                shape = (channels, sizes[0])
            elif kind == "flatten":
                shape = (channels * side**2, 1)
                continue
            elif kind == "dense":
                parameters += channels * sizes[0] + sizes[0]
                shape = (sizes[0], 1)
            elif kind == "residual":
                _, shape = walk(sizes[0], number, (channels, side))
                walk(sizes[1], number, (channels, side))
            made[0] += 1
            number = made[0]
            if kind == "relu":
                kept[number] = (channels * side**2, side)
        return number, shape

    number, shape = walk(table, 0, shape)
    # The probabilities, for the loss.
    kept[number] = (shape[0], 1)
    return parameters, list(kept.values())


def small_cnn(side, channels):
    """Bytes that the small convolutional network keeps of an image."""
    first, second, third = CHANNELS
    table = [("bias_conv", first, 3, 1, 1), ("relu",)]
    table += [("bias_conv", second, 3, 1, 1), ("relu",), ("max_pool", 2, 2)]
    table += [("bias_conv", third, 3, 1, 1), ("relu",), ("mean_pool", 1)]
    table += [("flatten",), ("dense", NUM_CLASSES)]
    _, kept = count_layers(table, (channels, side))
    return 4 * sum(elements for elements, _ in kept)


def formula(kind):
    """Bytes kept of an example; those of its largest layer's output."""
    if kind == "mlp":
        kept = NUM_FEATURES + 2 * HIDDEN_UNITS + NUM_CLASSES
        return 4 * kept, 4 * HIDDEN_UNITS
    if kind == "cnn":
        largest = 4 * max(CHANNELS[:2]) * IMAGE_SIDE**2
        return small_cnn(IMAGE_SIDE, IMAGE_CHANNELS), largest
    # Two normalisations and what they give, query, key, value and context.
    block = SEQUENCE_LENGTH * (8 * WIDTH + FEED_FORWARD)
    block += HEADS * SEQUENCE_LENGTH**2
    end = SEQUENCE_LENGTH * (2 * WIDTH + VOCABULARY)
    return 4 * (NUM_BLOCKS * block + end), 4 * SEQUENCE_LENGTH * FEED_FORWARD


values = {}


def put_exact(key, value, unit, timing=False):
    values[key] = {"value": value, "unit": unit, "exact": True}
    values[key] |= {"timing": True} if timing else {}


def put_range(key, samples, unit):
    """The mean of the processes, with the smallest and the largest."""
    samples = np.asarray(samples, dtype=float)
    values[key] = {"value": samples.mean(), "unit": unit, "timing": True}
    values[key] |= {"ci": [samples.min(), samples.max()], "n": len(samples)}
    values[key] |= {"because": "resident memory repeats"}


def put_time(key, samples):
    mean, bottom, top = mean_interval(samples, ratio=True)
    values[key] = {"value": mean, "ci": [bottom, top], "n": len(samples)}
    values[key] |= {"unit": "ratio", "timing": True}
    values[key] |= {"because": "short run"} if SHORT else {}


def line(kind, mode, sizes):
    """Slope and intercept of the highest memory, of each process."""
    found = peaks[kind, "adam", mode][:, -len(sizes) :]
    return np.polyfit(sizes, found.T, 1)


megabyte = 1e6
for kind in KINDS:
    kept, largest = formula(kind)
    counts = estimates[kind]
    put_exact(f"kept.formula.{kind}", kept / 1000, "kB")
    put_exact(f"kept.counted.{kind}", counts["per_example"] / 1000, "kB")
    error = 100 * (kept / counts["per_example"] - 1)
    put_exact(f"kept.error.{kind}", error, "percent")
    put_exact(f"parameters.{kind}", counts["parameters"] / megabyte, "MB")
    for name, copies in STATE_VALUES.items():
        ratio = states[kind, name] / counts["parameters"]
        put_exact(f"state.{kind}.{name}", ratio, "ratio")
        fixed = (2 + copies) * counts["parameters"]
        put_exact(f"fixed.formula.{kind}.{name}", fixed / megabyte, "MB")
    slope, intercept = line(kind, "plain", BATCH_SIZES[kind])
    put_range(f"slope.resident.{kind}", slope / 1000, "kB")
    put_range(f"intercept.resident.{kind}", intercept / megabyte, "MB")
    put_range(f"slope.over_kept.{kind}", slope / kept, "ratio")
    rule = kept + 2 * largest
    put_exact(f"rule.{kind}", rule / 1000, "kB")
    put_range(f"slope.over_rule.{kind}", slope / rule, "ratio")
# What the process of each optimizer took, beyond that of plain SGD.
at_largest = {name: peaks["mlp", name, "plain"][:, -1] for name in STATE_VALUES}
for name in ("momentum", "adam"):
    extra = at_largest[name] - at_largest["sgd"]
    expected = STATE_VALUES[name] * estimates["mlp"]["parameters"]
    put_range(f"extra.over_state.{name}", extra / expected, "ratio")

plain_slope, _ = line("transformer", "plain", MODE_SIZES)
plain_seconds = update_seconds["plain"]
length = np.linalg.norm(gradients["plain"])
for mode in MODES:
    put_exact(f"held.{mode}", held[mode] / 1000, "kB")
    if mode == "plain":
        continue
    put_exact(f"held_share.{mode}", held[mode] / held["plain"], "share")
    slope, _ = line("transformer", mode, MODE_SIZES)
    put_range(f"slope_share.{mode}", slope / plain_slope, "share")
    put_time(f"time.{mode}", update_seconds[mode] / plain_seconds)
    away = np.linalg.norm(gradients[mode] - gradients["plain"]) / length
    put_exact(f"gradient_error.{mode}", float(away), "ratio", timing=True)
    away = abs(losses[mode] / losses["plain"] - 1)
    put_exact(f"loss_distance.{mode}", float(away), "share", timing=True)
# What float16 would do to this gradient if nothing scaled it.
sizes = np.abs(gradients["plain"][gradients["plain"] != 0])
for name, smallest in (
    # Below half of the smallest number, it is rounded to 0.
    ("to_zero", FLOAT16_SMALLEST / 2),
    ("fewer_digits", FLOAT16_NORMAL),
):
    share = float(np.mean(sizes < smallest))
    put_exact(f"float16.{name}", share, "share", timing=True)

kept, largest = formula("transformer")
fixed = 4 * estimates["transformer"]["parameters"]
budget = BUDGETS_MIB[machine] * 2**20
predicted = (budget - fixed) / (kept + 2 * largest)
predicted -= predicted % SEARCH_MULTIPLE
put_exact("search.found", found_batch, "examples", timing=True)
put_exact("search.tries", num_tries, "tries", timing=True)
put_exact("search.failures", num_failed, "tries", timing=True)
put_exact("search.predicted", predicted, "examples")
ratio = found_batch / predicted
put_exact("search.over_predicted", ratio, "ratio", timing=True)
for size, count in updates_per_epoch.items():
    put_exact(f"updates_per_epoch.{size}", count, "updates")

# The example of 64 images: SGD with momentum, so three numbers a parameter.
gigabyte, device = 1e9, DEVICE_GIB * 2**30
by_side = {}
for name in ARCHITECTURES:
    table = layer_table(name)
    parameters, tensors = count_layers(table, (3, EXAMPLE_SIDE))
    per_image = 4 * sum(elements for elements, _ in tensors)
    fixed = 3 * 4 * parameters
    put_exact(f"images.parameters.{name}", parameters / 1e6, "million")
    put_exact(f"images.kept.{name}", per_image / megabyte, "MB")
    counts = counted[name]["per_example"]
    put_exact(f"images.counted.{name}", counts / megabyte, "MB")
    put_exact(f"images.error.{name}", 100 * (per_image / counts - 1), "percent")
    total = fixed + EXAMPLE_IMAGES * per_image
    put_exact(f"images.fixed.{name}", fixed / gigabyte, "GB")
    put_exact(f"images.total.{name}", total / gigabyte, "GB")
    put_exact(f"images.over_device.{name}", total / device, "ratio")
    fits = int((device - fixed) // per_image)
    put_exact(f"images.fit.{name}", fits, "images")
    fits = int((device - fixed) // counts)
    put_exact(f"images.fit_counted.{name}", fits, "images")
    share = EXAMPLE_IMAGES * per_image / total
    put_exact(f"images.share_kept.{name}", share, "share")
    early = sum(e for e, side in tensors if side >= EXAMPLE_SIDE // 4)
    put_exact(f"images.share_early.{name}", 4 * early / per_image, "share")
    by_side[name] = {}
    for elements, side in tensors:
        found = by_side[name].get(side, 0)
        by_side[name][side] = found + 4 * elements / megabyte
    _, tensors = count_layers(table, (3, SMALL_SIDE))
    small = 4 * sum(elements for elements, _ in tensors)
    total = fixed + EXAMPLE_IMAGES * small
    put_exact(f"images.small_over_device.{name}", total / device, "ratio")
pixels = EXAMPLE_IMAGES * 3 * EXAMPLE_SIDE**2 * 4
put_exact("images.pixels", pixels / gigabyte, "GB")
put_exact("images.pixels_of_device", pixels / device, "share")
mnist = MNIST_BATCH_SIZE * small_cnn(MNIST_SIDE, 1)
put_exact("mnist.kept", mnist / megabyte, "MB")
for key, entry in values.items():
    print(f"{key:36}{entry['value']:12.4g}", *entry.get("ci", []))

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def low(key):
    return values[key].get("ci", [values[key]["value"]])[0]


def high(key):
    return values[key].get("ci", [values[key]["value"]])[-1]


for kind in KINDS:
    key = f"kept.error.{kind}"
    judge(f"formula_is_right.{kind}", abs(low(key)) < 20, key)
    key = f"slope.over_kept.{kind}"
    judge(f"process_takes_what_is_kept.{kind}", low(key) > NEARLY, key)
    judge(f"process_takes_under_three_times.{kind}", high(key) < 3, key)
keys = [f"extra.over_state.{name}" for name in ("momentum", "adam")]
holds = all(low(key) > 0.75 and high(key) < 1.25 for key in keys)
judge("states_show_in_the_process", holds, *keys)
for mode in MODES[1:]:
    key = f"held_share.{mode}"
    judge(f"{mode}_keeps_less", high(key) < 0.8, key)
    key = f"slope_share.{mode}"
    judge(f"{mode}_shrinks_the_process", high(key) < 0.9, key)
judge("checkpoint_takes_longer", low("time.checkpoint") > 1, "time.checkpoint")
key = "gradient_error.checkpoint"
judge("checkpoint_leaves_the_gradient", low(key) < ROUNDING, key)
key = "gradient_error.bfloat16"
judge("bfloat16_changes_the_gradient", low(key) > ROUNDING, key)
key = "loss_distance.bfloat16"
judge("bfloat16_loss_is_close", high(key) < CLOSE, key)
key = "float16.to_zero"
judge("float16_rounds_some_to_zero", low(key) > 1e-4, key)
keys = ("search.failures", "search.found")
judge("training_goes_on_after_failures", num_failed > 0, *keys)
key = "search.over_predicted"
judge("search_finds_what_is_predicted", 2 / 3 < low(key) < 1.5, key)
keys = [f"images.over_device.{name}" for name in ARCHITECTURES]
judge("example_does_not_fit", all(low(key) > 1 for key in keys), *keys)
keys = [f"images.share_kept.{name}" for name in ARCHITECTURES]
judge("activations_fill_it", all(low(key) > 0.9 for key in keys), *keys)
judge("mnist_fits", high("mnist.kept") * megabyte < device / 10, "mnist.kept")
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Results

# %%
series = {}
for kind in KINDS:
    sizes = BATCH_SIZES[kind]
    found = peaks[kind, "adam", "plain"].T / megabyte
    fixed = 4 * estimates[kind]["parameters"]
    series[f"resident.{kind}"] = {
        "x": sizes,
        "y": [each.mean() for each in found],
        "low": [each.min() for each in found],
        "high": [each.max() for each in found],
        "unit": "MB",
    }
    kept, largest = formula(kind)
    for name, slope in (("kept", kept), ("rule", kept + 2 * largest)):
        series[f"{name}.{kind}"] = {
            "x": sizes,
            "y": [(fixed + size * slope) / megabyte for size in sizes],
            "unit": "MB",
        }
for name, found in by_side.items():
    sides = sorted(side for side in found if side > 8)
    series[f"by_side.{name}"] = {
        "x": sides,
        "y": [found[side] for side in sides],
        "unit": "MB",
    }

results = {"values": values, "judgements": judgements, "series": series}
