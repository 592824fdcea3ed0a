# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
from functools import partial

import numpy as np
from sklearn.datasets import load_digits

from snippets.draw_mnist1d import draw_mnist1d

SHORT = False

BATCH_SIZES = [1, 4, 16, 32, 64, 256, 1024]
# Batches of each size, of each draw, for each network: at least so many, and
# of the small sizes, whose gradients differ most, with so many examples.
NUM_BATCHES = 20 if SHORT else 300
NUM_DRAWN = 60 if SHORT else 9600
NUM_TRAIN = 1500
# Of the network: features, units of the hidden layers, classes.
LAYERS = {"mnist1d": [40, 64, 64, 10], "digits": [64, 64, 64, 10]}
# Examples that MNIST-1D generates; the first train, the next are fresh.
NUM_GENERATED = 5000
MNIST1D_SEED = 42
# Training is the same for all that is measured: Adam at its usual rate.
TRAINING_BATCH_SIZE = 32
LEARNING_RATE = 0.001
# Epochs of training at which the gradients are taken.
STAGES = {"start": 0, "early": 1, "middle": 10, "late": 2 if SHORT else 100}
# The stage at which whole epochs of batches are added up.
EPOCH_STAGE = "middle"
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 1700

# %% [markdown]
# ## Data
#
# Pixels of the digits are scaled to lie between `0` and `1`.


# %%
def load(name):
    """Training examples and fresh ones that training never sees."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(FIRST_SEED).permutation(len(x))
        x, y = x[order] / 16, y[order]
    else:
        x, y = draw_mnist1d(NUM_GENERATED, MNIST1D_SEED)
    split = NUM_TRAIN
    x, y = x[: 2 * split].astype("float32"), y[: 2 * split].astype("int64")
    return x[:split], y[:split], x[split:], y[split:]


data = {name: load(name) for name in LAYERS}

# %% [markdown]
# ## Batches
#
# With replacement, every example of every batch is drawn anew. Without, an
# epoch is cut into batches, as training does it.


# %%
def draw_batches(random, batch_size, draw):
    """Rows of examples, one batch a row."""
    count = max(NUM_BATCHES, NUM_DRAWN // batch_size)
    if draw == "with":
        return random.integers(NUM_TRAIN, size=(count, batch_size))
    per_epoch = NUM_TRAIN // batch_size
    epochs = [
        random.permutation(NUM_TRAIN)[: per_epoch * batch_size]
        for _ in range(-(-count // per_epoch))
    ]
    return np.concatenate(epochs).reshape(-1, batch_size)[:count]


# %% [markdown]
# ## How far a batch is from all examples
#
# The noise is the mean squared distance to the full gradient. "The wrong
# way" is a negative inner product with the full gradient: an update that is
# small enough then raises the loss on all examples.


# %%
def squared_lengths(batches, products):
    """Of the mean gradient of each batch, from its inner products."""
    if batches.shape[1] <= 32:
        pairs = products[batches[:, :, None], batches[:, None, :]]
        return pairs.mean(axis=(1, 2))
    # What share each example has in each batch: one product serves them all.
    shares = np.zeros((len(batches), len(products)), dtype="float32")
    np.add.at(shares, (np.arange(len(batches))[:, None], batches), 1)
    shares /= np.float32(batches.shape[1])
    return np.einsum("bn,bn->b", shares @ products, shares)


def measure_batches(gradients, random):
    """Noise and direction by batch size, and the noise scale.

    gradients: of each example, [NUM_TRAIN, parameters].
    """
    full = gradients.mean(axis=0, dtype="float64")
    squared_norm = full @ full
    # Inner products say all about the length and angle of any mean of rows.
    products = gradients @ gradients.T
    along = gradients @ full.astype("float32")
    # The trace of the covariance of one example's gradient.
    trace = np.trace(products, dtype="float64") / NUM_TRAIN - squared_norm
    noise = {"with": [], "without": []}
    bias_ratio, cosine, wrong_way = [], [], []
    for draw in noise:
        for batch_size in BATCH_SIZES:
            batches = draw_batches(random, batch_size, draw)
            squares = squared_lengths(batches, products)
            inner = along[batches].mean(axis=1)
            distance = squares - 2 * inner + squared_norm
            noise[draw].append(distance.mean() / squared_norm)
            if draw == "with":
                # Is the mean of all batches as far off as chance has it?
                drawn = np.bincount(batches.ravel(), minlength=NUM_TRAIN)
                excess = drawn / batches.size - 1 / NUM_TRAIN
                off = excess.astype("float32") @ gradients
                by_chance = trace / batch_size / len(batches)
                bias_ratio.append(off @ off / by_chance)
                continue
            lengths = np.sqrt(np.maximum(squares, 1e-30) * squared_norm)
            cosine.append(np.mean(inner / lengths))
            wrong_way.append(100 * np.mean(inner < 0))
    return {
        "noise_scale": trace / squared_norm,
        "noise.with": noise["with"],
        "noise.without": noise["without"],
        "bias_ratio": np.mean(bias_ratio),
        "cosine": cosine,
        "wrong_way": wrong_way,
    }


# %% [markdown]
# ## Whole gradients
#
# The full gradient again: in another order, of fresh examples, and as the
# sum of the batches of one epoch, the last of which is smaller.


# %%
def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def compare_gradients(gradient, name, order, whole_epoch):
    """How far other ways to the full gradient lead from it.

    gradient: (inputs, labels) -> the gradient of their mean loss.
    order: of the training examples; it is also that of the epoch.
    """
    x, y, x_fresh, y_fresh = data[name]
    whole, fresh = gradient(x, y), gradient(x_fresh, y_fresh)
    lengths = np.linalg.norm(fresh) * np.linalg.norm(whole)
    found = {
        "order_error": relative(gradient(x[order], y[order]), whole),
        "fresh_cosine": fresh @ whole / lengths,
    }
    if whole_epoch:
        ends = range(TRAINING_BATCH_SIZE, NUM_TRAIN, TRAINING_BATCH_SIZE)
        batches = np.split(order, ends)
        each = [gradient(x[rows], y[rows]) for rows in batches]
        sizes = [len(rows) for rows in batches]
        weighted = np.average(each, axis=0, weights=sizes)
        found["epoch_error"] = relative(weighted, whole)
        found["unweighted_error"] = relative(np.mean(each, axis=0), whole)
    return found


# %% [markdown]
# ## Which networks to measure
#
# A stage is trained from the beginning, in the same order, so that the
# stages of a seed are one training, looked at on its way.


# %%
def measure_all(train, mean_loss, example_gradients, batch_gradient):
    """{(data, stage): {quantity: [networks] or [networks, batch sizes]}}.

    train: (data, updates) -> models of all seeds. The others take (model,
    inputs, labels); gradients are NumPy arrays, one row for each example or
    one for all.
    """
    random = np.random.default_rng(FIRST_SEED)
    updates_per_epoch = -(-NUM_TRAIN // TRAINING_BATCH_SIZE)
    measured = {}
    for name in LAYERS:
        x, y = data[name][:2]
        for stage, epochs in STAGES.items():
            networks = []
            for model in train(name, epochs * updates_per_epoch):
                found = {"train_loss": mean_loss(model, x, y)}
                gradient = partial(batch_gradient, model)
                order = random.permutation(NUM_TRAIN)
                whole_epoch = stage == EPOCH_STAGE
                found |= compare_gradients(gradient, name, order, whole_epoch)
                gradients = example_gradients(model, x, y)
                networks.append(found | measure_batches(gradients, random))
            measured[name, stage] = {
                quantity: np.array([each[quantity] for each in networks])
                for quantity in networks[0]
            }
            print("measured:", name, stage)
    return measured
