# %% [markdown]
# ## Settings
#
# An example is a sequence. `SHORT = True` gives a run of seconds, to see it
# work; its numbers mean nothing.

# %%
import numpy as np

from snippets.keep_half_life import keep_half_life
from snippets.time_in_turns import time_in_turns

SHORT = False

# Sequences per update.
BATCH_SIZES = [1, 4, 16, 64, 256]
NUM_EXAMPLES = 256 if SHORT else 4096
SEQUENCE_LENGTH = 16
NUM_CHARACTERS = 16
# The network that the language is drawn from, and how sharp it is.
LANGUAGE_UNITS = 16
LANGUAGE_SCALE = 3.0
HIDDEN_UNITS = 32
# beta_2 of Adam, and the batch size that the kept half-life goes with.
SHORT_BETA = 0.95
DEFAULT_BETA = 0.999
REFERENCE_BATCH_SIZE = 64
# Learning rates: so many factors of two to either side of a middle, which
# rises with a power of the batch size so that the best lies inside.
RATE_STEPS = 3
NUM_RATES = 2 * RATE_STEPS + 1
MIDDLE_RATES = {"sgd": 0.18, "adam": 0.0025}
MIDDLE_POWERS = {"sgd": 0.6, "adam": 0.65}
# A diverged run counts as this excess loss, in nats.
LARGEST_EXCESS = 5.0
NUM_SEEDS = 2 if SHORT else 12
FIRST_SEED = 500
TIMED_REPEATS = 2 if SHORT else 10
# Seconds in each timing, at the least.
TIMED_SECONDS = 0.001 if SHORT else 0.02

# %% [markdown]
# ## A language for each seed
#
# The next character depends on the two before it, by a random network. So the
# loss of the best possible model is known, and so is the expected loss of any
# model: a sum over all pairs of characters, without test data.


# %%
def entropy(probabilities):
    """Along the last axis, in nats."""
    return -(probabilities * np.log(probabilities)).sum(axis=-1)


class Language:
    """Its probabilities, its entropies, and a text in it."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        count, units = NUM_CHARACTERS, LANGUAGE_UNITS
        inward = random.normal(size=(2, count, units))
        outward = random.normal(size=(units, count)) / np.sqrt(units)
        hidden = np.tanh(inward[0][:, None] + inward[1][None])
        weights = np.exp(LANGUAGE_SCALE * hidden @ outward)
        # [second last, last, next]
        self.next = weights / weights.sum(axis=-1, keepdims=True)
        pairs = np.full((count, count), count**-2.0)
        for _ in range(200):
            pairs = np.einsum("ab,abc->bc", pairs, self.next)
        # How often each pair of characters stands in a long text.
        self.pairs = pairs
        self.entropy = (pairs * entropy(self.next)).sum()
        # What is left to a table that sees one character.
        after_one = np.einsum("ab,abc->bc", pairs, self.next)
        after_one /= after_one.sum(axis=1, keepdims=True)
        self.pair_entropy = (pairs.sum(axis=0) * entropy(after_one)).sum()

    def write(self, seed):
        """Pairs and the characters after them, [examples, length] each."""
        random = np.random.default_rng(seed)
        upper = self.next.reshape(-1, NUM_CHARACTERS).cumsum(axis=1)
        pair = random.choice(
            len(upper), size=NUM_EXAMPLES, p=self.pairs.ravel()
        )
        read, written = [], []
        for _ in range(SEQUENCE_LENGTH):
            draw = random.random((NUM_EXAMPLES, 1))
            character = (draw > upper[pair, :-1]).sum(axis=1)
            read.append(pair)
            written.append(character)
            pair = pair % NUM_CHARACTERS * NUM_CHARACTERS + character
        return np.stack(read, axis=1), np.stack(written, axis=1)


SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
languages = [Language(seed) for seed in SEEDS]
texts = [language.write(seed) for language, seed in zip(languages, SEEDS)]
# [seeds, examples, length]: numbers of pairs, and of the characters after.
read, written = (np.stack(part).astype("int32") for part in zip(*texts))
# Both characters of every pair, each as one of NUM_CHARACTERS features.
one_hot = np.eye(NUM_CHARACTERS, dtype="float32")
first = np.repeat(one_hot, NUM_CHARACTERS, axis=0)
second = np.tile(one_hot, (NUM_CHARACTERS, 1))
all_pairs = np.concatenate([first, second], axis=1)


def excess_loss(log_probabilities):
    """Expected loss less that of the best model, [rates, seeds].

    log_probabilities: [rates * seeds, pairs, characters].
    """
    shape = NUM_RATES, NUM_SEEDS, len(all_pairs), NUM_CHARACTERS
    log_probabilities = log_probabilities.reshape(shape)
    found = []
    for number, language in enumerate(languages):
        truth = language.next.reshape(-1, NUM_CHARACTERS)
        loss = -(truth * log_probabilities[:, number]).sum(axis=-1)
        found.append(loss @ language.pairs.ravel() - language.entropy)
    excess = np.nan_to_num(np.stack(found, axis=1), nan=LARGEST_EXCESS)
    return excess.clip(max=LARGEST_EXCESS)


# %% [markdown]
# ## What an update reads
#
# The network sees two characters, so that it gives all occurrences of a pair
# one answer. Those in a batch are put together: a batch is the pairs in it,
# and how often each character follows them.


# %%
def batches_of(batch_size):
    """Pairs [updates, seeds, n], and shares [updates, seeds, n, characters].

    A share is how often that character follows that pair, as a part of all
    in the batch. n is that of characters in a batch, or of all pairs.
    """
    pairs, characters = (
        part.reshape(NUM_SEEDS, -1, batch_size * SEQUENCE_LENGTH).swapaxes(0, 1)
        for part in (read, written)
    )
    updates, seeds, length = pairs.shape
    count = len(all_pairs)
    if length <= count:
        return pairs, one_hot[characters] / length
    shares = np.zeros((updates, seeds, count, NUM_CHARACTERS), "float32")
    update, seed, _ = np.indices(pairs.shape, sparse=True)
    np.add.at(shares, (update, seed, pairs, characters), 1 / length)
    every = np.arange(count, dtype="int32")
    return np.broadcast_to(every, (updates, seeds, count)), shares


# %% [markdown]
# ## Which runs to make
#
# One pass over the text, so every sequence is new: by SGD, and by Adam with a
# short and with the default memory, and with one that keeps its half-life.

# %%
KINDS = ["sgd", "adam_short", "adam_default", "adam_kept"]


def beta_of(kind, batch_size):
    """beta_2 of Adam; None for SGD."""
    return {
        "sgd": None,
        "adam_short": SHORT_BETA,
        "adam_default": DEFAULT_BETA,
        "adam_kept": keep_half_life(
            SHORT_BETA, REFERENCE_BATCH_SIZE, batch_size
        ),
    }[kind]


def rates_for(kind, batch_size):
    """Learning rates to try, a factor of two apart."""
    name = kind.split("_")[0]
    middle = MIDDLE_RATES[name] * batch_size ** MIDDLE_POWERS[name]
    return middle * 2.0 ** np.arange(-RATE_STEPS, RATE_STEPS + 1)


def looks_at(batch_size):
    """Numbers of updates to look at, about evenly on a logarithmic axis."""
    last = NUM_EXAMPLES // batch_size
    points = last / 2.0 ** np.arange(0, 12.5, 0.5)
    return sorted({round(point) for point in points if point >= 1})


def train_all(train):
    """Excess loss [looks, rates, seeds] by (kind, batch size).

    train: (beta_2, rates, pairs, shares, looks) -> the same of one of them.
    """
    excess = {}
    for size in BATCH_SIZES:
        pairs, shares = batches_of(size)
        for kind in KINDS:
            # Where the kept half-life is the reference's own, so is the run.
            if kind == "adam_kept" and size == REFERENCE_BATCH_SIZE:
                excess[kind, size] = excess["adam_short", size]
                continue
            beta, rates = beta_of(kind, size), rates_for(kind, size)
            found = train(beta, rates, pairs, shares, looks_at(size))
            excess[kind, size] = np.stack(found)
        print("trained with batches of", size)
    return excess


# %% [markdown]
# ## What to time


# %%
def time_updates(prepare):
    """{batch size: seconds of the processor, of each repeat}.

    prepare: (x, y), a batch of the first text -> a function that makes an
        update with it.
    """
    functions = {
        size: prepare(
            all_pairs[read[0, :size].ravel()], written[0, :size].ravel()
        )
        for size in BATCH_SIZES
    }
    return time_in_turns(functions, TIMED_REPEATS, TIMED_SECONDS)
