# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import functools
import gc
import time

import numpy as np
from scipy import stats
from sklearn.datasets import load_digits

from snippets.serve_in_batches import serve_in_batches
from snippets.time_in_turns import time_in_turns

SHORT = False

# The network that is served: deep and narrow, so that a call costs much
# however few examples it holds.
NUM_FEATURES = 64
NUM_CLASSES = 10
WIDTH = 64
NUM_HIDDEN = 64
BATCH_SIZES = [1, 4, 16, 64, 256]
NUM_REPEATS = 3 if SHORT else 12
# Of calls of one size, at least, in a repeat.
TURN_SECONDS = 0.002 if SHORT else 0.05
USUAL_SIZES = [1, 256]

# Sequences for the padding: lengths have a median and a spread of their
# logarithm, and end at the longest. Tokens from 1 up; 0 is the padding.
MEDIAN_LENGTH = 32
LENGTH_SPREAD = 0.8
LONGEST = 256
VOCABULARY = 64
# So many are timed, in this order and at this batch size.
TIMED_SEQUENCES = 64 if SHORT else 256
PASSES = [("random", 1), ("random", 32), ("sorted", 8), ("sorted", 32)]

# The server. A load is in percent of what it can answer one at a time. One
# at a time the queue of the largest would only take longer.
LOADS = {
    "alone": [50, 80, 200],
    "greedy": [50, 80, 200, 400],
    "waiting": [50, 80, 200, 400],
}
MAX_BATCH_SIZE = 64
# Most requests of a call, and how long they wait for others, in calls with
# one example.
POLICIES = {
    "alone": (1, 0),
    "greedy": (MAX_BATCH_SIZE, 0),
    "waiting": (MAX_BATCH_SIZE, 4),
}
NUM_REQUESTS = 60 if SHORT else 280
CAPACITY_REQUESTS = 30 if SHORT else 100
LOAD_REPEATS = 2 if SHORT else 10

# A network with batch normalisation, trained on digits.
NUM_TRAIN = 1437
NUM_EPOCHS = 1 if SHORT else 5
TRAIN_BATCH_SIZE = 32
LEARNING_RATE = 0.1
# Examples that are answered by one call.
SERVED_TOGETHER = 8
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 700

random = np.random.default_rng(FIRST_SEED)
requests = random.normal(size=(max(BATCH_SIZES), NUM_FEATURES))
requests = requests.astype("float32")

# %% [markdown]
# ## Time of a call
#
# All sizes take turns.


# %%
def time_calls(call, usual_call):
    """Seconds of a call in each repeat, by (way, batch size)."""
    calls = {("call", size): call for size in BATCH_SIZES}
    calls |= {("usual", size): usual_call for size in USUAL_SIZES}
    turns = {
        (way, size): functools.partial(function, requests[:size])
        for (way, size), function in calls.items()
    }
    return time_in_turns(turns, NUM_REPEATS, TURN_SECONDS, time.perf_counter)


# %% [markdown]
# ## Time with padding
#
# Sequences share a call only if the shorter ones are filled up. The time to
# go through a set of them once, in random order or sorted by length.


# %%
def lengths_of(count):
    """Lengths in ascending order, with a long tail.

    The quantiles of their distribution, so that nothing is left to chance.
    """
    parts = (np.arange(count) + 0.5) / count
    lengths = MEDIAN_LENGTH * np.exp(LENGTH_SPREAD * stats.norm.ppf(parts))
    return np.clip(np.round(lengths), 1, LONGEST).astype(int)


sequences = [
    random.integers(1, VOCABULARY, size=length).astype("int32")
    for length in lengths_of(TIMED_SEQUENCES)
]


def pad(batch):
    """An array [sequences, longest of them]; zeros fill the ends."""
    padded = np.zeros((len(batch), max(map(len, batch))), "int32")
    for row, sequence in zip(padded, batch):
        row[: len(sequence)] = sequence
    return padded


def time_passes(score):
    """Seconds to go through all, of each repeat, by (order, batch size)."""

    def go_through(kind, size):
        order = np.arange(TIMED_SEQUENCES)
        if kind == "random":
            order = random.permutation(order)
        for first in range(0, len(order), size):
            score(pad([sequences[i] for i in order[first : first + size]]))

    turns = {each: functools.partial(go_through, *each) for each in PASSES}
    return time_in_turns(turns, LOAD_REPEATS, 0, time.perf_counter)


# %% [markdown]
# ## A batch against its examples alone


# %%
def compare_with_alone(call, score, score_unmasked):
    """Largest difference, as a part of the largest output, in three cases."""
    examples = requests[:MAX_BATCH_SIZE]
    some = sequences[:: TIMED_SEQUENCES // 8]
    differences = {}
    for name, found, together, parts in (
        ("batch", call, examples, [example[None] for example in examples]),
        ("masked", score, pad(some), [one[None] for one in some]),
        ("unmasked", score_unmasked, pad(some), [one[None] for one in some]),
    ):
        alone = np.concatenate([found(part) for part in parts])
        apart = np.abs(found(together) - alone).max()
        differences[name] = float(apart / np.abs(alone).max())
    return differences


# %% [markdown]
# ## The server under load
#
# Requests arrive at random times that do not depend on the answers. The
# latency counts from the time at which a request was due, so that a late
# start, or a queue, is part of it.


# %%
def serve(call, due, max_batch_size, max_wait_seconds):
    """Latencies in seconds, mean size of a batch, seconds of processor."""
    sizes, done = [], np.empty(len(due))

    def predict(inputs):
        sizes.append(len(inputs))
        return call(np.stack(inputs))

    def note(number):
        def finish(future):
            done[number] = time.perf_counter()
            future.result()

        return finish

    used = time.process_time()
    with serve_in_batches(predict, max_batch_size, max_wait_seconds) as submit:
        start = time.perf_counter()
        for number, moment in enumerate(due):
            early = start + moment - time.perf_counter()
            if early > 0:
                time.sleep(early)
            x = requests[number % len(requests)]
            submit(x).add_done_callback(note(number))
    used = time.process_time() - used
    return done - start - due, np.mean(sizes), used


def serve_one_client(call):
    """Latencies of a client that asks again when it has its answer."""
    seconds = []
    with serve_in_batches(lambda inputs: call(np.stack(inputs)), 1) as submit:
        for number in range(CAPACITY_REQUESTS):
            start = time.perf_counter()
            submit(requests[number % len(requests)]).result()
            seconds.append(time.perf_counter() - start)
    return np.array(seconds)


def serve_loads(call):
    """What each of the repeats gave.

    Latencies [repeats, requests], mean sizes of the batches and seconds of
    processor [repeats], each by (policy, load); then the latencies of one
    client. They are in the time that a request costs one at a time.
    """
    # Whatever the size, it has been called before.
    for size in range(1, MAX_BATCH_SIZE + 1):
        call(requests[:size])
    cases = [(policy, load) for policy in LOADS for load in LOADS[policy]]
    latency, sizes, used = ({case: [] for case in cases} for _ in range(3))
    one_client = []
    gc.disable()
    for repeat in range(LOAD_REPEATS):
        # From first to last, where all are there at once.
        burst, _, _ = serve(call, np.zeros(CAPACITY_REQUESTS), 1, 0)
        second_each = burst.max() / CAPACITY_REQUESTS
        one_client.append(serve_one_client(call) / second_each)
        # The same arrivals for all; a load only changes their pace.
        arrivals = np.random.default_rng([FIRST_SEED, repeat])
        due = arrivals.exponential(size=NUM_REQUESTS).cumsum() * second_each
        for policy, load in sorted(cases, key=lambda case: case[1]):
            most, wait = POLICIES[policy]
            found = serve(call, due * 100 / load, most, wait * second_each)
            latency[policy, load].append(found[0] / second_each)
            sizes[policy, load].append(found[1])
            used[policy, load].append(found[2])
    gc.enable()
    return latency, sizes, used, one_client


# %% [markdown]
# ## Training mode, forgotten
#
# The test examples are answered in batches: of one class, or mixed at
# random in two ways.


# %%
def draw_batches(seed, num_examples):
    """Numbers of the examples of each batch, for all epochs of training."""
    random = np.random.default_rng(seed)
    for _ in range(NUM_EPOCHS):
        order = random.permutation(num_examples)
        for start in range(0, num_examples, TRAIN_BATCH_SIZE):
            yield order[start : start + TRAIN_BATCH_SIZE]


def group(labels, random):
    """{name: numbers of examples [batches, examples]}."""
    by_class = []
    for label in range(NUM_CLASSES):
        those = np.flatnonzero(labels == label)
        those = those[: len(those) // SERVED_TOGETHER * SERVED_TOGETHER]
        by_class.append(those.reshape(-1, SERVED_TOGETHER))
    mixed, again = (
        random.permutation(len(labels)).reshape(-1, SERVED_TOGETHER)
        for _ in range(2)
    )
    one_class = np.concatenate(by_class)
    return {"mixed": mixed, "again": again, "one_class": one_class}


def count_lone_answers(call, x):
    """Different answers that so many single examples get; None if it raises."""
    try:
        answers = [call(x[i : i + 1]) for i in range(SERVED_TOGETHER)]
    except ValueError as error:
        print("one example in training mode:", error)
        return None
    return len(np.unique(np.round(np.concatenate(answers), 4), axis=0))


def answer_in_modes(train, call_of):
    """Percent of right answers, and of those that change, for each seed.

    train: (seed, inputs, labels) -> trained network.
    call_of: (network, whether in training mode) -> function that calls it.
    Returns accuracy and changed, {case: [seeds]}, and the different answers
    that lone examples get in training mode.
    """
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype("float32"), y.astype("int64")
    accuracy = {"evaluation": [], "mixed": [], "one_class": []}
    changed = {"evaluation": [], "training": []}
    for seed in range(FIRST_SEED, FIRST_SEED + NUM_SEEDS):
        random = np.random.default_rng(seed)
        order = random.permutation(len(x))
        train_part, test_part = order[:NUM_TRAIN], order[NUM_TRAIN:]
        model = train(seed, x[train_part], y[train_part])
        test_x, test_y = x[test_part], y[test_part]
        groupings = group(test_y, random)
        classes = {}
        # Evaluation comes first: calls in training mode change the averages.
        for mode in ("evaluation", "training"):
            call = call_of(model, mode == "training")
            for name, batches in groupings.items():
                classes[mode, name] = np.full(len(test_x), -1)
                for batch in batches:
                    found = call(test_x[batch]).argmax(axis=1)
                    classes[mode, name][batch] = found
            other = classes[mode, "mixed"] != classes[mode, "again"]
            changed[mode].append(100 * other.mean())
        for case, mode, name in (
            ("evaluation", "evaluation", "mixed"),
            ("mixed", "training", "mixed"),
            ("one_class", "training", "one_class"),
        ):
            those = groupings[name].ravel()
            right = classes[mode, name][those] == test_y[those]
            accuracy[case].append(100 * right.mean())
    return accuracy, changed, count_lone_answers(call, test_x)
