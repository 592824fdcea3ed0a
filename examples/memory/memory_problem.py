# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import inspect
import os

import numpy as np

from snippets.find_largest_batch import find_largest_batch
from snippets.run_in_fresh_process import run_in_fresh_process

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

# %% [markdown]
# ## Processes of their own
#
# A process gets the text of the functions that it calls, with the settings.
# For each measurement it forks, so that none finds memory that another has
# left, and reads what Linux tells of itself.


# %%
def source_of(names, imports, *functions):
    """A Python file with the settings among the names, and these functions."""
    settings = [
        f"{name} = {value!r}"
        for name, value in names.items()
        if name.isupper() and name[0] != "_"
    ]
    texts = [inspect.getsource(each) for each in functions]
    return "\n".join([*imports, *settings, "", *texts])


def read_resident(highest):
    """Resident memory of this process, now or at its highest, in bytes."""
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith("VmHWM:" if highest else "VmRSS:"):
                return 1024 * int(line.split()[1])


def in_forks(name, tasks):
    """What the function measures of each task, numbers, each in a fork."""
    measure, found = globals()[name], []
    for task in tasks:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, str(measure(*task)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as stream:
            found.append([int(each) for each in stream.read()[1:-1].split(",")])
        os.waitpid(child, 0)
    return found


# %% [markdown]
# ## Whose memory to measure
#
# Of each network with Adam, at growing sizes of the batch; only the perceptron
# has parameters enough to tell the optimizers apart. In half precision
# something stays of each size, so there each has a fork.

# %%
# (network, optimizer, mode, batch sizes).
tasks = [(kind, "adam", "plain", BATCH_SIZES[kind]) for kind in KINDS]
largest = BATCH_SIZES["mlp"][-1:]
tasks += [("mlp", name, "plain", largest) for name in ("sgd", "momentum")]
tasks += [
    ("transformer", "adam", mode, [size])
    for mode in MODES[1:]
    for size in MODE_SIZES
]


# Large pieces of memory go back to the system when they are freed.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def measure_tasks(measure_peak, source, on_gpu):
    """Highest memory by task, [processes, batch sizes], in bytes.

    measure_peak: (*task) -> bytes at each size; source: a file that has it.
    """
    every, peaks = tasks * NUM_PROCESSES, {}
    if on_gpu:
        found = [measure_peak(*task) for task in every]
    else:
        given = ["measure_peak", every]
        found = run_in_fresh_process(source, "in_forks", given, MALLOC)
    for number, (*task, _) in enumerate(tasks):
        peaks.setdefault(tuple(task), []).append(found[number :: len(tasks)])
    return {task: np.concatenate(each, axis=1) for task, each in peaks.items()}


# %% [markdown]
# ## With and without what saves memory
#
# Updates take turns. The first, which is not like the others, is discarded.


# %%
def compare_modes(held_per_example, gradient_of, start_training, batch, clock):
    """(bytes, gradient, seconds of an update [repeats], last loss), by mode."""
    held = {mode: held_per_example(mode) for mode in MODES}
    gradients = {mode: gradient_of(mode) for mode in MODES}
    updates = {
        mode: start_training("transformer", "adam", mode) for mode in MODES
    }
    seconds, losses = {mode: [] for mode in MODES}, {}
    for _ in range(TIMED_REPEATS + 1):
        for mode, update in updates.items():
            start = clock()
            losses[mode] = float(update(*batch))
            seconds[mode].append(clock() - start)
    seconds = {mode: np.array(found[1:]) for mode, found in seconds.items()}
    return held, gradients, seconds, losses


# %% [markdown]
# ## Search for the largest batch that fits
#
# And train once more, with some room.


# %%
def search(train_on, machine):
    """[budget in MiB, the size found, the names of the errors on the way].

    train_on: makes an update with a batch of this size.
    """
    errors = []

    def try_batch(batch_size):
        try:
            train_on(batch_size)
        except Exception as error:
            errors.append(type(error).__name__)
            raise

    found = find_largest_batch(
        try_batch,
        SEARCH_LARGEST[machine],
        smallest=SEARCH_MULTIPLE,
        multiple_of=SEARCH_MULTIPLE,
    )
    train_on(int(ROOM * found))
    return [BUDGETS_MIB[machine], found, errors]
