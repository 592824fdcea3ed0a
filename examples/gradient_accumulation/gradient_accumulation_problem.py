# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import numpy as np
from mnist1d.data import get_dataset_args, make_dataset

SHORT = False

# Not a multiple of BATCH_SIZE: the last group of an epoch is short, and its
# last micro-batch smaller than the others.
NUM_TRAIN = 1064
NUM_VALIDATION = 512
NUM_TEST = 1024
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 64
# Examples per update, examples per forward pass, and passes per update.
BATCH_SIZE = 128
MICRO_BATCH_SIZE = 32
ACCUMULATION_STEPS = 4
# Where equality, memory and time are measured.
MICRO_BATCH_SIZES = [64, 32, 16, 8, 4, 2, 1]
# This one does not divide BATCH_SIZE.
UNEQUAL_MICRO_BATCH_SIZE = 48
EQUAL_UPDATES = 2 if SHORT else 5
PRECISIONS = ["float32", "float64"]

OPTIMIZERS = ["sgd", "adam"]
# Momentum of SGD and epsilon of Adam.
MOMENTUM = 0.9
EPSILON = 1e-7
# An epsilon that is no longer small against the gradients.
LARGE_EPSILON = 1e-2
# Learning rates are three to the power of these.
RATE_POWERS = {"sgd": [-5, -4, -3, -2, -1, 0], "adam": [-7, -6, -5, -4, -3, -2]}
NUM_EPOCHS = 1 if SHORT else 15
MISTAKES = [
    "mean_of_means",
    "wrong_divisor",
    "dropped_group",
    "carried_group",
    "no_division",
    "no_reset",
]

# Sequences of one batch, of one micro-batch, and the longest, in tokens.
NUM_SEQUENCES = 32
MICRO_SEQUENCES = 8
MAX_LENGTH = 64

NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 3000
TIMED_REPEATS = 2 if SHORT else 10
# Batches in one timing: as many as the micro-batch size over this, or one.
TIMED_SHARE = 8

# %% [markdown]
# ## Data
#
# MNIST-1D: drawn signals of ten kinds. Each seed has data of its own, so that
# an interval holds for another data set as well.


# %%
def make_data(seed):
    """Inputs and labels to train, to validate and to test."""
    parts = [NUM_TRAIN, NUM_VALIDATION, NUM_TEST]
    arguments = get_dataset_args()
    arguments.seed = seed
    # As many of each kind, so a few may be too many; they are left out.
    arguments.num_samples = sum(parts) + NUM_CLASSES
    # The package keeps back one example at least; it is put in its place.
    arguments.train_split = 1 - 1e-9
    drawn = make_dataset(arguments)
    x = np.concatenate([drawn["x"], drawn["x_test"]]).astype("float32")
    y = np.concatenate([drawn["y"], drawn["y_test"]])
    ends = np.cumsum(parts)
    return np.split(x, ends)[:3] + np.split(y, ends)[:3]


seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
# [seeds, examples, features] and [seeds, examples].
x_train, x_validation, x_test, y_train, y_validation, y_test = [
    np.stack(each) for each in zip(*map(make_data, seeds))
]

# %% [markdown]
# ## Groups of micro-batches
#
# What one update takes, and what the mean loss of each micro-batch is
# multiplied by: rightly its share of the group. Each mistake changes one
# thing.


# %%
def first_examples(num_examples, micro_batch_size):
    """Micro-batches of the first examples: [seeds, micro-batch size] each."""
    order = np.tile(np.arange(num_examples), (NUM_SEEDS, 1))
    cuts = range(micro_batch_size, num_examples, micro_batch_size)
    return np.split(order, cuts, axis=1)


def groups_of(order):
    """The micro-batches of an epoch, in groups of one update."""
    cuts = range(MICRO_BATCH_SIZE, NUM_TRAIN, MICRO_BATCH_SIZE)
    every = np.split(order, cuts, axis=1)
    return [
        every[start : start + ACCUMULATION_STEPS]
        for start in range(0, len(every), ACCUMULATION_STEPS)
    ]


in_order = np.concatenate(first_examples(NUM_TRAIN, NUM_TRAIN))
last_group = groups_of(in_order)[-1]


def shares_of(group, mistake=None):
    sizes = [part.shape[1] for part in group]
    if mistake == "mean_of_means":
        return [1 / len(group)] * len(group)
    if mistake in ("wrong_divisor", "carried_group"):
        # As if no group were short, and no micro-batch.
        return [1 / ACCUMULATION_STEPS] * len(group)
    if mistake == "no_division":
        return [1.0] * len(group)
    return [size / sum(sizes) for size in sizes]


# %% [markdown]
# ## Compare gradients
#
# The gradient of a group at once, and accumulated over its micro-batches; that
# of the short last group with two mistakes; and its length without any
# division. `Training` is the program's: the networks of all seeds.


# %%
def relative(difference, whole):
    """Length of the difference over that of the whole, for each seed."""
    lengths = np.linalg.norm(difference, axis=-1)
    return lengths / np.linalg.norm(whole, axis=-1)


def compare_gradients(Training):
    """Relative errors [seeds] by (precision, micro-batch size) or mistake."""

    def gradient(group, precision="float64", mistake=None):
        training = Training("sgd", 1.0, precision)
        training.accumulate(group, shares_of(group, mistake))
        return training.gradient()

    errors = {}
    for precision in PRECISIONS:
        whole = gradient(first_examples(BATCH_SIZE, BATCH_SIZE), precision)
        for size in MICRO_BATCH_SIZES:
            parts = first_examples(BATCH_SIZE, size)
            difference = gradient(parts, precision) - whole
            errors[precision, size] = relative(difference, whole)
    right = gradient(last_group)
    for mistake in ("mean_of_means", "wrong_divisor"):
        wrong = gradient(last_group, mistake=mistake)
        errors[mistake] = relative(wrong - right, right)
    full = groups_of(in_order)[0]
    undivided = gradient(full, mistake="no_division")
    # The whole length here, not that of a difference.
    errors["no_division"] = relative(undivided, gradient(full))
    return errors


# %% [markdown]
# ## Compare weights after several updates
#
# With the function that the page gives, on one ordinary model for each seed.
# The micro-batches are unequal.


# %%
def weights_after(model, number, micro_batch_size, precision):
    """(weights at the end, how far they moved) of the model of one seed."""
    before = model.weights()
    for start in range(0, EQUAL_UPDATES * BATCH_SIZE, BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        x = x_train[number, part].astype(precision)
        model.update(x, y_train[number, part], micro_batch_size)
    return model.weights(), model.weights() - before


def compare_weights(OneModel):
    """Relative errors [seeds] by (precision, optimizer)."""
    errors = {}
    for precision in PRECISIONS:
        for kind in OPTIMIZERS:
            (whole, moved), (parted, _) = (
                np.swapaxes(
                    [
                        weights_after(
                            OneModel(number, kind, 0.01, precision),
                            number,
                            size,
                            precision,
                        )
                        for number in range(NUM_SEEDS)
                    ],
                    0,
                    1,
                )
                for size in (BATCH_SIZE, UNEQUAL_MICRO_BATCH_SIZE)
            )
            errors[precision, kind] = relative(parted - whole, moved)
    return errors


# %% [markdown]
# ## Make the mistakes
#
# The rate is chosen on validation data, with the right loop; every mistake
# keeps it.


# %%
def shuffled_groups():
    random = np.random.default_rng(FIRST_SEED)
    for _ in range(NUM_EPOCHS):
        yield from groups_of(random.permuted(in_order, axis=1))


def train(training, groups, mistake=None):
    for group in groups:
        short = len(group) < ACCUMULATION_STEPS
        if short and mistake == "dropped_group":
            continue
        training.accumulate(group, shares_of(group, mistake))
        if short and mistake == "carried_group":
            continue
        training.update()
        if mistake != "no_reset":
            training.reset()
    return training


def make_mistakes(Training):
    """(the chosen power of the rate by optimizer, test accuracies).

    Accuracies are in percent, [seeds], by (optimizer, mistake or "none").
    """
    powers, points = {}, {}

    def run(kind, power, mistake=None):
        training = Training(kind, 3.0**power, "float32")
        return train(training, shuffled_groups(), mistake)

    for kind, grid in RATE_POWERS.items():
        runs = [run(kind, power) for power in grid]
        validation = [run.accuracy(x_validation, y_validation) for run in runs]
        best = np.mean(validation, axis=1).argmax()
        powers[kind] = grid[best]
        finished = {"none": runs[best]} | {
            mistake: run(kind, grid[best], mistake) for mistake in MISTAKES
        }
        for mistake, training in finished.items():
            reached = 100 * training.accuracy(x_test, y_test)
            points[kind, mistake] = reached
            print(kind, mistake, reached.mean().round(1))
    return powers, points


# %% [markdown]
# ## Forget the division
#
# The weights after training without it, against what that is said to equal.
# There is no short group here, so every sum is `ACCUMULATION_STEPS` times its
# mean. SGD has a quarter of its rate, so that the undivided run has the whole.


# %%
def forget_division(Training, powers):
    """Distance of two runs, over how far the second one moved: [seeds] each.

    powers: of the chosen rates, by optimizer.
    """
    whole_groups = groups_of(in_order)[: 2 if SHORT else 8]
    start = Training("sgd", 1.0, "float64").weights()

    def apart(kind, undivided, divided):
        """undivided, divided: (rate, epsilon) of the two runs."""
        left, right = (
            train(Training(kind, rate, "float64", epsilon), whole_groups, how)
            for how, (rate, epsilon) in (
                ("no_division", undivided),
                (None, divided),
            )
        )
        difference = left.weights() - right.weights()
        return relative(difference, right.weights() - start)

    sgd, adam = 3.0 ** powers["sgd"], 3.0 ** powers["adam"]
    small = sgd / ACCUMULATION_STEPS, EPSILON
    large = adam, LARGE_EPSILON
    larger = adam, LARGE_EPSILON * ACCUMULATION_STEPS
    return {
        "sgd": apart("sgd", small, small),
        "sgd_is_a_larger_rate": apart("sgd", small, (sgd, EPSILON)),
        "adam": apart("adam", (adam, EPSILON), (adam, EPSILON)),
        "adam_with_large_epsilon": apart("adam", large, large),
        "adam_is_a_smaller_epsilon": apart("adam", larger, large),
    }


# %% [markdown]
# ## Average over tokens
#
# Sequences of signals, of very different lengths, padded; each signal is a
# token with a label. Weights of the losses say what is averaged: each token
# the same, or each micro-batch the same, as the mean of its tokens.


# %%
def token_batch(number, by_length):
    """Sequences with labels, and a mask that is 1 for a token."""
    random = np.random.default_rng(FIRST_SEED + number)
    lengths = np.exp(random.uniform(0, np.log(MAX_LENGTH), NUM_SEQUENCES))
    lengths = lengths.astype(int)
    if by_length:
        lengths = np.sort(lengths)
    chosen = random.integers(NUM_TRAIN, size=(NUM_SEQUENCES, MAX_LENGTH))
    mask = (np.arange(MAX_LENGTH) < lengths[:, None]).astype("float64")
    x = x_train[number, chosen] * mask[:, :, None]
    return x, y_train[number, chosen], mask


def token_gradient(model, *batch):
    """Read off the first update with a rate of one."""
    before = model.weights()
    model.update(*batch)
    return before - model.weights()


def compare_tokens(sequence_model):
    """[seeds] by (what, order).

    What: relative errors of "token_mean" and of "mean_of_means", and
    "largest_weight", how often a token of the shortest micro-batch is counted.

    sequence_model: (the seed's number) -> a model with a rate of one.
    """
    found = {}
    for order in ("mixed", "by_length"):
        rows = []
        for number in range(NUM_SEEDS):
            x, y, mask = token_batch(number, order == "by_length")
            counts = mask.reshape(-1, MICRO_SEQUENCES * MAX_LENGTH).sum(axis=1)
            # A token counts less the more there are in its micro-batch.
            of_means = mask / np.repeat(counts, MICRO_SEQUENCES)[:, None]
            whole, right, wrong = (
                token_gradient(sequence_model(number), x, y, size, weights)
                for size, weights in (
                    (NUM_SEQUENCES, mask),
                    (MICRO_SEQUENCES, mask),
                    (MICRO_SEQUENCES, of_means),
                )
            )
            errors = [relative(each - whole, whole) for each in (right, wrong)]
            rows.append([*errors, counts.mean() / counts.min()])
        kinds = ("token_mean", "mean_of_means", "largest_weight")
        for what, column in zip(kinds, np.transpose(rows)):
            found[what, order] = column
    return found


# %% [markdown]
# ## In which order to time
#
# Batches in micro-batches of every size, with one update at the end; and of
# one size with an update after each. They take turns, and the first round is
# discarded.


# %%
def take_turns(timed):
    """Seconds for one batch [repeats] by (how, micro-batch size).

    timed: ("accumulate" or "update", micro-batch size, batches) -> seconds.
    """
    cases = [("accumulate", size) for size in [BATCH_SIZE, *MICRO_BATCH_SIZES]]
    cases.append(("update", MICRO_BATCH_SIZE))
    seconds = {case: [] for case in cases}
    for _ in range(TIMED_REPEATS + 1):
        for how, size in cases:
            batches = max(1, size // TIMED_SHARE)
            seconds[how, size].append(timed(how, size, batches) / batches)
    return {case: np.array(found[1:]) for case, found in seconds.items()}
