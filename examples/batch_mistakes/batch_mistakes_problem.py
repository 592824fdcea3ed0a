# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import copy
import warnings

import numpy as np
from sklearn.datasets import load_digits

SHORT = False

NUM_TRAIN = 1000
SPLIT_SEED = 1
NUM_FEATURES = 64
NUM_CLASSES = 10
HIDDEN_UNITS = 32
# Examples per update, and per forward pass where they are accumulated.
BATCH_SIZE = 32
MICRO_BATCH_SIZE = 8
LEARNING_RATE = 0.2
NUM_EPOCHS = 5
# Added to the variance by both kinds of normalisation.
EPSILON = 1e-5
# Updates with the same examples, to see the gradient grow.
NUM_GROUPS = 5
# Two whole batches and one example over.
LEFT_OVER_EXAMPLES = 65
# Fewer examples than a batch.
FEW_EXAMPLES = 20
# How often the examples of a batch are repeated to make a larger one.
COPIES = 8
# Examples per update over all devices, and how many devices.
GLOBAL_BATCH_SIZE = 64
NUM_DEVICES = 4
# Padded sequences of a batch and of a micro-batch, and the longest, in tokens.
NUM_SEQUENCES = 8
MICRO_SEQUENCES = 2
MAX_LENGTH = 8
# How often one token occurs in a batch.
NUM_OCCURRENCES = 4
EMBEDDING_RATE = 0.1
ADAM_EPSILON = 1e-7
NUM_SEEDS = 3 if SHORT else 10
FIRST_SEED = 700

# %% [markdown]
# ## Data
#
# Handwritten digits, `8` by `8` pixels, split once for all runs. Some of them
# also stand for the tokens of padded sequences: the first sequence has one
# token, the next two, and so on.

# %%
x, y = load_digits(return_X_y=True)
order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
x, y = (x / 16).astype("float32")[order], y.astype("int64")[order]
train_data = x[:NUM_TRAIN], y[:NUM_TRAIN]
x_test, y_test = x[NUM_TRAIN:], y[NUM_TRAIN:]
by_class = np.argsort(y[:NUM_TRAIN], kind="stable")
sorted_data = x[by_class], y[by_class]
whole = x[:BATCH_SIZE], y[:BATCH_SIZE]
few = x[:FEW_EXAMPLES], y[:FEW_EXAMPLES]
left_over = x[:LEFT_OVER_EXAMPLES], y[:LEFT_OVER_EXAMPLES]
length = np.arange(1, NUM_SEQUENCES + 1)[:, None]
mask = (np.arange(MAX_LENGTH) < length).astype("float32").ravel()
tokens = x[: len(mask)], y[: len(mask)], mask
seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)


def batches_of(batch_size, *arrays):
    """The arrays, cut into batches: [(part of each array)]."""
    return [
        tuple(array[start : start + batch_size] for array in arrays)
        for start in range(0, len(arrays[0]), batch_size)
    ]


# %% [markdown]
# ## Compare updates
#
# That from micro-batches with the right one, made of the whole batch from the
# same weights.


# %%
def for_each_seed(observe, **variants):
    """{variant: [what is observed, for each seed]}."""
    return {
        name: [observe(variant, seed) for seed in seeds]
        for name, variant in variants.items()
    }


def compare_updates(moved_by, right_update, whole, parts, build, update):
    """The update from parts against the right one, for each seed.

    moved_by: (update, model, parts) -> how far each weight moves.
    build: seed -> model.
    Returns {"length": how many times as long, "difference": of its length}.
    """
    compared = {"length": [], "difference": []}
    for seed in seeds:
        right = moved_by(right_update, build(seed), [whole])
        moved = moved_by(update, build(seed), parts)
        length = np.linalg.norm(right)
        compared["length"].append(np.linalg.norm(moved) / length)
        compared["difference"].append(np.linalg.norm(moved - right) / length)
    return compared


# %% [markdown]
# ## Write down what a training says
#
# It may raise, warn, or leave the weights as they were.


# %%
def watch(train, model, weights_of, *arguments):
    """{"refused", "warned", "changed"}: how often, how often, whether."""
    before, refused = weights_of(model), 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            train(model, *arguments)
        except ValueError as error:
            print("refused:", error)
            refused = 1
    # Of those to the user; that a dataset is not shuffled is known.
    messages = [str(w.message) for w in caught if w.category is UserWarning]
    return {
        "refused": refused,
        "warned": sum("shuffle" not in message for message in messages),
        "changed": bool((weights_of(model) != before).any()),
    }


def outputs_alone(outputs_of, examples):
    """Outputs of ten examples, one in each batch; None if that is refused."""
    try:
        return [outputs_of(examples[n : n + 1]) for n in range(10)]
    except ValueError:
        return None


# %% [markdown]
# ## Average the losses of unequal batches
#
# How much of the mean is the example that was left over: the change of the
# mean over the change of that example's own loss, if it gets another label.


# %%
# --8<-- [start:mean_of_batches]
def loss_by_batches(loss_of, batches):
    losses = [loss_of(x, y) for x, y in batches]
    return sum(losses) / len(losses)


# --8<-- [end:mean_of_batches]
# --8<-- [start:mean_of_examples]
def loss_by_examples(loss_of, batches):
    losses = [loss_of(x, y) * len(x) for x, y in batches]
    return sum(losses) / sum(len(x) for x, _ in batches)


# --8<-- [end:mean_of_examples]
def shares_of_the_last(loss_of, x, y):
    """By name of the mistake; loss_of: (x, y) -> mean loss, as a number."""
    changed = copy.deepcopy(y)
    changed[-1] = (y[-1] + 1) % NUM_CLASSES
    before, after = (
        batches_of(BATCH_SIZE, x, labels) for labels in (y, changed)
    )
    own = loss_of(*after[-1]) - loss_of(*before[-1])
    return {
        name: (average(loss_of, after) - average(loss_of, before)) / own
        for name, average in (
            ("mean_of_batches", loss_by_batches),
            ("mean_of_examples", loss_by_examples),
        )
    }
