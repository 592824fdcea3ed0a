# %% [markdown]
# ## Settings
#
# A run on a CPU would take days. `SHORT = True` gives one of seconds on any
# machine, to see it work; its numbers mean nothing.

# %%
import time

import numpy as np
from mnist1d.data import get_dataset_args, make_dataset

SHORT = False

# Examples for each update; for the transformer, texts.
BATCH_SIZES = [16, 64] if SHORT else [16, 64, 256, 1024, 4096]
# The most examples in one pass. A larger batch is accumulated from several.
MICRO_BATCH_SIZE = 32 if SHORT else 512
# Examples: training, validation, test. Whole batches, whatever their size.
SPLITS = {
    "transformer": [128, 64, 64] if SHORT else [131072, 2048, 2048],
    "cnn": [128, 64, 64] if SHORT else [40960, 4096, 4096],
}
# Characters in a text, and characters that there are.
TEXT_LENGTH = 8 if SHORT else 64
VOCABULARY = 16 if SHORT else 256
# The network that the language is drawn from, and how sharp it is.
LANGUAGE_UNITS = 16
LANGUAGE_SCALE = 3.0
EMBEDDING_SIZE = 16 if SHORT else 256
NUM_HEADS = 8
NUM_BLOCKS = 1 if SHORT else 4
# Standard deviation of the transformer's initial weights.
INITIAL_SPREAD = 0.02
NUM_FEATURES = 40
NUM_CLASSES = 10
NUM_CHANNELS = 16 if SHORT else 128
# Values that a convolution sees at once.
KERNEL_SIZE = 5
# The transformer's target lies between a table of pairs, 1, and the best
# possible model, 0. That of the convolutional network is a loss, in nats.
TARGET_SHARE = 1.8 if SHORT else 0.25
TARGET_LOSS = 2.27 if SHORT else 0.2
# Learning rates of Adam: so many factors of two to either side of a middle,
# which rises with the root of the batch size. Where the best lies on the
# edge, more are tried.
REFERENCE_BATCH_SIZE = 16 if SHORT else 256
MIDDLE_RATES = {"transformer": 0.001, "cnn": 0.002}
RATE_STEPS = 1 if SHORT else 2
MORE_RATES = 1 if SHORT else 4
# A run ends after so many updates, and after so many times the updates of
# its seed's quickest run so far, which is of this batch size or a smaller.
MOST_UPDATES = 50 if SHORT else 20000
PATIENCE_FACTOR = 3
# A look comes after this many times the updates of the one before.
LOOK_FACTOR = 1.1
# Sizes and number of the batches that the noise scale is measured with.
NOISE_BATCH_SIZES = [4, 64] if SHORT else [32, 512]
NOISE_BATCHES = 10 if SHORT else 100
# Language, MNIST-1D and initial weights are drawn anew for each seed.
NUM_SEEDS = 2 if SHORT else 3
FIRST_SEED = 500
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
NETWORKS = list(SPLITS)

# %% [markdown]
# ## A language for each seed
#
# The next character depends on the two before it, by a random network. So the
# loss of the best possible model is known.


# %%
def entropy(probabilities):
    """Along the last axis, in nats."""
    return -(probabilities * np.log(probabilities)).sum(axis=-1)


def draw_language(seed):
    """Texts [examples, TEXT_LENGTH + 1], and the target of the loss."""
    random = np.random.default_rng(seed)
    count, units = VOCABULARY, LANGUAGE_UNITS
    inward = random.normal(size=(2, count, units))
    outward = random.normal(size=(units, count)) / np.sqrt(units)
    hidden = np.tanh(inward[0][:, None] + inward[1][None])
    follow = np.exp(LANGUAGE_SCALE * hidden @ outward)
    # Probabilities [second last, last, next].
    follow /= follow.sum(axis=-1, keepdims=True)
    # How often each pair of characters stands in a long text.
    pairs = np.full((count, count), count**-2.0)
    for _ in range(30):
        pairs = np.einsum("ab,abc->bc", pairs, follow)
    best = (pairs * entropy(follow)).sum()
    # What is left to a model that sees one character.
    after_one = np.einsum("ab,abc->bc", pairs, follow)
    after_one /= after_one.sum(axis=1, keepdims=True)
    table = (pairs.sum(axis=0) * entropy(after_one)).sum()
    # One rising list over all pairs, so that a search finds the character.
    upper = follow.reshape(-1, count).cumsum(axis=1)
    upper = (upper + np.arange(len(upper))[:, None]).ravel()
    num_texts = sum(SPLITS["transformer"])
    pair = random.choice(count**2, size=num_texts, p=pairs.ravel())
    text = [pair % count]
    for _ in range(TEXT_LENGTH):
        found = np.searchsorted(upper, pair + random.random(num_texts))
        character = (found - pair * count).clip(0, count - 1)
        text.append(character)
        pair = pair % count * count + character
    return np.stack(text, axis=1), best + TARGET_SHARE * (table - best)


def draw_digits(seed):
    """Inputs [examples, features] and labels [examples] of MNIST-1D."""
    arguments = get_dataset_args()
    arguments.seed = seed
    # A tenth of each class goes to the package's own test set.
    arguments.num_samples = sum(SPLITS["cnn"]) // 10 * 10 + 10
    made = make_dataset(arguments)
    return [
        np.concatenate([made[key], made[f"{key}_test"]])[: sum(SPLITS["cnn"])]
        for key in "xy"
    ]


def in_parts(name, x, y):
    """{"training", "validation" and "test": (inputs, labels)}."""
    ends = np.cumsum(SPLITS[name])[:-1]
    parts = zip(np.split(x, ends), np.split(y, ends))
    return dict(zip(("training", "validation", "test"), parts))


def draw_data():
    """(data in parts, target of the loss), each by (network, seed)."""
    data, targets = {}, {}
    for seed in SEEDS:
        texts, targets["transformer", seed] = draw_language(seed)
        texts = texts.astype("int32")
        data["transformer", seed] = in_parts(
            "transformer", texts[:, :-1], texts[:, 1:]
        )
        x, y = draw_digits(seed)
        x, y = x.astype("float32"), y.astype("int32")
        data["cnn", seed] = in_parts("cnn", x, y)
        targets["cnn", seed] = TARGET_LOSS
        print("drawn: data of seed", seed)
    return data, targets


# %% [markdown]
# ## One run
#
# It ends when the target is reached on validation and on test data. A training
# is the program's: a network at one batch size.


# %%
def batches(count, size, seed):
    """Numbers of the examples of each update, in a new order each epoch."""
    random = np.random.default_rng(seed)
    while True:
        yield from random.permutation(count).reshape(-1, size)


def updates_to_target(training, seed, rate, target, most):
    """{"validation" and "test": updates}; nan where it was not reached.

    Between two looks it is interpolated, in log updates.
    """
    training.start(seed, rate)
    arrived = {"validation": np.nan, "test": np.nan}
    before = {part: (1, training.loss(part)) for part in arrived}
    count, look = SPLITS[training.name][0], 1
    numbers = batches(count, training.batch_size, seed)
    for updates, batch in enumerate(numbers, start=1):
        training.update(batch)
        if updates < min(look, most):
            continue
        look = max(updates + 1, int(LOOK_FACTOR * updates))
        for part, (then, higher) in before.items():
            loss = training.loss(part)
            before[part] = (updates, loss)
            if np.isnan(arrived[part]) and loss <= target:
                share = (higher - target) / max(higher - loss, 1e-12)
                arrived[part] = then * (updates / then) ** np.clip(share, 0, 1)
        finite = all(np.isfinite(loss) for _, loss in before.values())
        done = not np.isnan(list(arrived.values())).any()
        if done or updates >= most or not finite:
            return arrived


# %% [markdown]
# ## All runs
#
# One after another, from the middle of the learning rates outwards; where the
# best lies on the edge, more are tried.


# %%
def rate_of(name, size, step):
    """The learning rate so many factors of two above the middle."""
    root = (size / REFERENCE_BATCH_SIZE) ** 0.5
    return MIDDLE_RATES[name] * root * 2.0**step


def best_step(found):
    """The rate at which all seeds are soonest there, or None."""
    mean = {
        step: np.log(arrived["validation"]).mean()
        for step, arrived in found.items()
    }
    reached = [step for step in mean if np.isfinite(mean[step])]
    return min(reached, key=mean.get, default=None)


def next_step(found):
    """A rate that is still to be tried, or None."""
    # From the middle outwards, so that what is slow is given up early.
    for step in sorted(range(-RATE_STEPS, RATE_STEPS + 1), key=abs):
        if step not in found:
            return step
    best = best_step(found)
    if best is None or len(found) > 2 * RATE_STEPS + MORE_RATES:
        return None
    outside = {min(found): min(found) - 1, max(found): max(found) + 1}
    return outside.get(best)


def sweep(trainings, targets):
    """{(network, size): {step: {"validation" and "test": updates [seeds]}}}.

    trainings: by (network, size).
    """
    runs = {}
    for (name, size), training in trainings.items():
        if size == BATCH_SIZES[0]:
            quickest = dict.fromkeys(SEEDS, np.inf)
        found = runs[name, size] = {}
        while (step := next_step(found)) is not None:
            found[step] = {"validation": [], "test": []}
            for seed in SEEDS:
                start, rate = time.perf_counter(), rate_of(name, size, step)
                most = min(MOST_UPDATES, PATIENCE_FACTOR * quickest[seed])
                arrived = updates_to_target(
                    training, seed, rate, targets[name, seed], most
                )
                for part, updates in arrived.items():
                    found[step][part].append(updates)
                    quickest[seed] = np.fmin(quickest[seed], updates)
                print(
                    f"{name}, size {size}, rate {rate:.2g}, seed {seed}: "
                    f"{arrived['test']:.0f} updates, "
                    f"{time.perf_counter() - start:.0f} s"
                )
    return runs


# %% [markdown]
# ## Noise scale
#
# Of the initial weights, and of weights that have just reached the target.


# %%
def measure_noise(trainings, targets, runs, measure, loss_function):
    """{network: {"start" and "target": noise scales [seeds]}}, in examples.

    They are nan where so few batches do not settle it. measure: the function
    measure_noise_scale of the framework.
    """

    def noise_scale(training):
        sizes = [*NOISE_BATCH_SIZES, NOISE_BATCHES]
        data = training.data["training"]
        try:
            found = measure(training.model, loss_function, *data, *sizes)
        except ValueError as error:
            print("not settled:", error)
            return np.nan
        return found["noise_scale"]

    size = min(REFERENCE_BATCH_SIZE, BATCH_SIZES[-1])
    noise = {}
    for name in NETWORKS:
        training = trainings[name, size]
        rate = rate_of(name, size, best_step(runs[name, size]) or 0)
        rows = []
        for seed in SEEDS:
            training.start(seed, rate)
            at_start = noise_scale(training)
            arrived = updates_to_target(
                training, seed, rate, targets[name, seed], MOST_UPDATES
            )
            there = np.isfinite(arrived["test"])
            rows.append([at_start, noise_scale(training) if there else np.nan])
        noise[name] = dict(zip(("start", "target"), np.transpose(rows)))
    return noise


def run_all(Training, targets, *how_to_measure_noise):
    """(what `sweep` returns, what `measure_noise` returns).

    Training: the program's, of a network at one batch size.
    """
    trainings = {
        (name, size): Training(name, size)
        for name in NETWORKS
        for size in BATCH_SIZES
    }
    runs = sweep(trainings, targets)
    noise = measure_noise(trainings, targets, runs, *how_to_measure_noise)
    return runs, noise
