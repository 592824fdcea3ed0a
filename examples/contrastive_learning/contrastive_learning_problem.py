# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import time
from collections import namedtuple

import numpy as np
from sklearn.datasets import load_digits

SHORT = False

BATCH_SIZES = [8, 16, 32, 64, 128]
REFERENCE_BATCH_SIZE = 32
# Updates of this many examples, whose negatives come from smaller groups.
GROUPED_BATCH_SIZE = 128
GROUP_SIZES = [8, 32]
NUM_TRAIN = 1024
NUM_CHECK = 373
NUM_TEST = 400
# Held-out images are shown at so many random positions each.
NUM_COPIES = 4
DATA_SEED = 5
# Pixels along a side: of a digit, and of the canvas on which it is put.
DIGIT_SIDE = 8
CANVAS_SIDE = 11
NUM_PIXELS = 121
NUM_POSITIONS = 16
NUM_CLASSES = 10
HIDDEN_UNITS = 64
NUM_DIMENSIONS = 16
TEMPERATURE = 0.2
NUM_EPOCHS = 2 if SHORT else 20
# What the largest size makes in these epochs.
NUM_UPDATES = 8 * NUM_EPOCHS
# Parts of the epochs after which accuracy is looked at.
LOOKS = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
LEARNING_RATES = [0.0007, 0.002, 0.006, 0.018, 0.054]
NUM_LABELS = 100
# How often they are drawn; the accuracy is the mean.
NUM_LABEL_DRAWS = 4
# Penalty of the ridge regression, per labelled image.
RIDGE = 0.1
NUM_SEEDS = 2 if SHORT else 15
NUM_TUNING_SEEDS = 2 if SHORT else 3
FIRST_SEED = 100
# Held-out images to find a partner for, and the groups to find it in.
NUM_CANDIDATES = 256
CANDIDATE_SIZES = [8, 16, 32, 64, 128, 256]
# The full set of the gradients, and how often it is divided into batches.
BIAS_EXAMPLES = 512
BIAS_DRAWS = 2 if SHORT else 12
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data
#
# Small digits, each somewhere on a larger canvas. Two views of an image are
# the same digit at two positions, so the encoder has to learn that position
# does not matter. `pool` holds every training image at every position.


# %%
def place(images, rows, columns):
    """The images with their upper left corner at the given positions."""
    canvas = np.zeros((len(images), CANVAS_SIDE, CANVAS_SIDE), "float32")
    pixels = np.arange(DIGIT_SIDE)
    canvas[
        np.arange(len(images))[:, None, None],
        rows[:, None, None] + pixels[:, None],
        columns[:, None, None] + pixels,
    ] = images.reshape(-1, DIGIT_SIDE, DIGIT_SIDE)
    return canvas.reshape(len(images), NUM_PIXELS)


x, y = load_digits(return_X_y=True)
random = np.random.default_rng(DATA_SEED)
order = random.permutation(len(x))
x, y = (x[order] / 16).astype("float32"), y[order]
positions_per_side = CANVAS_SIDE - DIGIT_SIDE + 1
everywhere = np.tile(np.arange(NUM_POSITIONS), NUM_TRAIN)
pool = place(
    np.repeat(x[:NUM_TRAIN], NUM_POSITIONS, axis=0),
    everywhere // positions_per_side,
    everywhere % positions_per_side,
)
y_train = y[:NUM_TRAIN]


def place_anywhere(first, count):
    """Images from `first` on at random positions, with their classes."""
    part = slice(first, first + count)
    images = np.repeat(x[part], NUM_COPIES, axis=0)
    corners = random.integers(positions_per_side, size=(2, len(images)))
    return place(images, *corners), np.repeat(y[part], NUM_COPIES)


x_check, y_check = place_anywhere(NUM_TRAIN, NUM_CHECK)
x_test, y_test = place_anywhere(NUM_TRAIN + NUM_CHECK, NUM_TEST)

seeds = np.arange(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
tuning_seeds = np.arange(1, NUM_TUNING_SEEDS + 1)

# %% [markdown]
# ## What a representation is worth
#
# A linear probe learns from a few labelled images, embedded. What needs no
# training is measured with the same labels.


# %%
def labelled(seed, draw):
    """The pool indices and classes of one seed's labelled images."""
    random = np.random.default_rng([seed, draw])
    examples = random.permutation(NUM_TRAIN)[:NUM_LABELS]
    positions = random.integers(NUM_POSITIONS, size=NUM_LABELS)
    return examples * NUM_POSITIONS + positions, y_train[examples]


def ridge_accuracy(known, classes, unknown, truth):
    """Share of right answers of a ridge regression on one-hot classes."""
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1e-6
    known, unknown = (known - mean) / spread, (unknown - mean) / spread
    targets = np.eye(NUM_CLASSES)[classes]
    gram = known.T @ known + RIDGE * len(known) * np.eye(known.shape[1])
    solution = np.linalg.solve(gram, known.T @ (targets - targets.mean(axis=0)))
    scores = unknown @ solution + targets.mean(axis=0)
    return np.mean(scores.argmax(axis=1) == truth)


def neighbour_accuracy(known, classes, unknown, truth):
    """Share of right answers of the nearest known image, by cosine."""
    known = known / np.linalg.norm(known, axis=1, keepdims=True)
    return np.mean(classes[(unknown @ known.T).argmax(axis=1)] == truth)


def probe(embed, weights, seeds, images, truth):
    """Accuracy of a linear probe on each replica's embeddings.

    embed: (weights, images) -> embeddings [replicas, images, dimensions].
    """
    seeds = np.repeat(seeds, len(weights[0]) // len(seeds))
    embedded = embed(weights, images)
    found = np.zeros((len(seeds), NUM_LABEL_DRAWS))
    for replica, seed in enumerate(seeds):
        own = [weight[replica : replica + 1] for weight in weights]
        for draw in range(NUM_LABEL_DRAWS):
            indices, classes = labelled(seed, draw)
            found[replica, draw] = ridge_accuracy(
                embed(own, pool[indices])[0], classes, embedded[replica], truth
            )
    return found.mean(axis=1)


def raw_accuracies(seed, draw):
    """Without training: linear, neighbour, neighbour at any position."""
    indices, classes = labelled(seed, draw)
    first = indices[:, None] // NUM_POSITIONS * NUM_POSITIONS
    everywhere = (first + np.arange(NUM_POSITIONS)).ravel()
    copied = np.repeat(classes, NUM_POSITIONS)
    return (
        ridge_accuracy(pool[indices], classes, x_test, y_test),
        neighbour_accuracy(pool[indices], classes, x_test, y_test),
        neighbour_accuracy(pool[everywhere], copied, x_test, y_test),
    )


def measure_without_training(encoders):
    """Accuracy of each seed, by what it comes from."""
    draws = range(NUM_LABEL_DRAWS)
    raw = [[raw_accuracies(seed, draw) for draw in draws] for seed in seeds]
    linear, neighbour, everywhere = np.mean(raw, axis=1).T
    weights = encoders.initial(seeds)
    return {
        "raw_linear": linear,
        "raw_neighbour": neighbour,
        "raw_neighbour_everywhere": everywhere,
        "random_encoder": probe(encoders.embed, weights, seeds, x_test, y_test),
    }


# %% [markdown]
# ## In which order to time
#
# Sizes take turns, so that a slow moment of the machine falls on all of them.


# %%
def take_turns(plain):
    """Processor seconds of an epoch, of each repeat, by batch size.

    plain: {batch size: training with a method `epoch`}.
    """
    seconds = {batch_size: [] for batch_size in BATCH_SIZES}
    for _ in range(TIMED_REPEATS):
        for batch_size in BATCH_SIZES:
            start = time.process_time()
            plain[batch_size].epoch()
            seconds[batch_size].append(time.process_time() - start)
    return {size: np.array(spent) for size, spent in seconds.items()}


# %% [markdown]
# ## Which runs to make
#
# Rates are chosen by the accuracy on validation data of seeds that are used
# for nothing else, once for equal epochs and once for equal updates.

# %%
# What the framework does, for stacked encoders: initial(seeds),
# embed(weights, images), begin(weights), weights_of(state),
# advance(state, rates, pairs, batch size, group size),
# loss(weights, first, second, group size) and
# gradient(weights, first, second, group size, contrast).
Encoders = namedtuple(
    "Encoders", "initial embed begin weights_of advance loss gradient"
)
# A batch and the number of examples that are candidates for one another.
SETUPS = [(size, size) for size in BATCH_SIZES]
SETUPS += [(GROUPED_BATCH_SIZE, size) for size in GROUP_SIZES]


def train(encoders, seeds, rates, setup, looks, images, truth):
    """(accuracy of the probe at each look, weights at the end).

    Every seed is trained at every rate.
    """
    batch_size, group_size = setup
    weights = [
        np.repeat(weight, len(rates), axis=0)
        for weight in encoders.initial(seeds)
    ]
    all_rates = np.tile(rates, len(seeds)).astype("float32")
    state = encoders.begin(weights)
    per_epoch = NUM_TRAIN // batch_size
    randoms = [np.random.default_rng([seed, batch_size]) for seed in seeds]
    done, found = 0, []
    while done < looks[-1]:
        # Each seed has an order and views of its own, shared by its rates.
        pairs = np.stack([draw_epoch(random) for random in randoms], axis=1)
        pairs = np.repeat(pairs, len(rates), axis=1)
        first_of_epoch = done
        while done < min(looks[-1], first_of_epoch + per_epoch):
            stops = [look for look in looks if look > done]
            stop = min(stops[0], first_of_epoch + per_epoch)
            part = slice(
                (done - first_of_epoch) * batch_size,
                (stop - first_of_epoch) * batch_size,
            )
            state = encoders.advance(
                state, all_rates, pairs[:, :, part], batch_size, group_size
            )
            done = stop
            if done in looks:
                weights = encoders.weights_of(state)
                found.append(
                    probe(encoders.embed, weights, seeds, images, truth)
                )
    return found, encoders.weights_of(state)


def draw_epoch(random):
    """Pool indices [2, NUM_TRAIN]: two different positions of each image."""
    order = random.permutation(NUM_TRAIN)
    first = random.integers(NUM_POSITIONS, size=NUM_TRAIN)
    shift = random.integers(1, NUM_POSITIONS, size=NUM_TRAIN)
    second = (first + shift) % NUM_POSITIONS
    return (order * NUM_POSITIONS + [first, second]).astype("int32")


def tune(encoders, setup, last):
    """{budget: the rate with the best mean accuracy on validation data}."""
    looks = sorted(set(last.values()))
    found, _ = train(
        encoders, tuning_seeds, LEARNING_RATES, setup, looks, x_check, y_check
    )
    curves = np.reshape(found, (len(looks), NUM_TUNING_SEEDS, -1)).mean(axis=1)
    return {
        budget: LEARNING_RATES[curves[looks.index(updates)].argmax()]
        for budget, updates in last.items()
    }


def train_all(encoders):
    """What the text is about, by (batch size, group size).

    Returns rates {(budget, setup): rate}, accuracy {(budget, setup): [seeds]},
    curves {setup: (updates, accuracy [looks, seeds])}, and the trained weights
    {setup: weights}.
    """
    chosen, accuracy, curves, trained = {}, {}, {}, {}
    for setup in SETUPS:
        epochs = NUM_EPOCHS * (NUM_TRAIN // setup[0])
        last = {"epochs": epochs, "updates": NUM_UPDATES}
        rates = tune(encoders, setup, last)
        looks = sorted({max(1, round(epochs * part)) for part in LOOKS})
        found, trained[setup] = train(
            encoders, seeds, [rates["epochs"]], setup, looks, x_test, y_test
        )
        curves[setup] = np.array(looks), np.array(found)
        accuracy["epochs", setup] = accuracy["updates", setup] = found[-1]
        if epochs != NUM_UPDATES or len(set(rates.values())) > 1:
            rate, looks = [rates["updates"]], [NUM_UPDATES]
            found, _ = train(
                encoders, seeds, rate, setup, looks, x_test, y_test
            )
            accuracy["updates", setup] = found[-1]
        for budget, rate in rates.items():
            chosen[budget, setup] = rate
        print("trained in batches and groups of", *setup, "at", rates)
    return chosen, accuracy, curves, trained


# %% [markdown]
# ## One encoder, many numbers of candidates
#
# The loss of the same embeddings of held-out images, computed in groups.


# %%
def measure_losses(encoders, trained):
    """{(size of the batches in training, candidates): loss of each seed}."""
    held_out = [x_test[copy::NUM_COPIES][:NUM_CANDIDATES] for copy in (0, 1)]
    return {
        (size, candidates): encoders.loss(
            trained[size, size], *held_out, candidates
        )
        for size in (BATCH_SIZES[0], REFERENCE_BATCH_SIZE, BATCH_SIZES[-1])
        for candidates in CANDIDATE_SIZES
    }


# %% [markdown]
# ## The bias of the gradient
#
# Every image keeps its two views, so only the division into batches is
# random, and each seed has divisions of its own. The product of two
# independent means has no noise of its own on average, so what is left is the
# distance of the expectation.

# %%
random = np.random.default_rng(DATA_SEED)
fixed = draw_epoch(random)[:, :BIAS_EXAMPLES]


def flat(gradient):
    return np.concatenate(
        [part.reshape(len(part), -1) for part in gradient], axis=1
    ).astype("float64")


def dot(left, right):
    return (left * right).sum(axis=1)


def measure_bias(encoders, weights):
    """{size: (bias, cosine, length) of the expected gradient, [3, seeds]}.

    Against the gradient of all BIAS_EXAMPLES, of length one.
    """
    views = pool[fixed[0]], pool[fixed[1]]
    full = flat(encoders.gradient(weights, *views, BIAS_EXAMPLES))
    in_order = np.tile(np.arange(BIAS_EXAMPLES), (NUM_SEEDS, 1))
    found = {}
    for size in CANDIDATE_SIZES:
        halves = np.zeros((2, *full.shape))
        for draw in range(BIAS_DRAWS):
            order = random.permuted(in_order, axis=1)
            views = pool[fixed[0][order]], pool[fixed[1][order]]
            gradient = flat(encoders.gradient(weights, *views, size))
            halves[draw % 2] += gradient / (BIAS_DRAWS / 2)
        squared = dot(halves[0] - full, halves[1] - full) / dot(full, full)
        # Noise can push a product of halves below zero.
        length = np.sqrt(np.maximum(dot(halves[0], halves[1]), 1e-12))
        cosine = dot(halves.mean(axis=0), full) / length
        whole = np.sqrt(dot(full, full))
        bias = np.sqrt(np.maximum(squared, 1e-12))
        found[size] = np.array([bias, cosine / whole, length / whole])
    return found


# %% [markdown]
# ## Accumulation is not a larger batch
#
# One batch as a whole, and the mean over its micro-batches. The control is a
# loss in which no example meets another.


# %%
def measure_accumulation(encoders, weights):
    """{(loss, size): relative difference of the gradient of each seed}."""
    batch = fixed[:, :GROUPED_BATCH_SIZE]
    views = np.array([pool[batch[0]], pool[batch[1]]])

    def gradient(views, size, contrast):
        return flat(encoders.gradient(weights, *views, size, contrast))

    found = {}
    for size in GROUP_SIZES:
        parts = np.split(views, GROUPED_BATCH_SIZE // size, axis=1)
        for name, contrast in (("contrast", True), ("control", False)):
            whole = gradient(views, GROUPED_BATCH_SIZE, contrast)
            mean = np.mean(
                [gradient(part, size, contrast) for part in parts], axis=0
            )
            difference = mean - whole
            squared = dot(difference, difference) / dot(whole, whole)
            found[name, size] = np.sqrt(squared)
    return found


# %% [markdown]
# ## All that is measured


# %%
def measure_all(encoders):
    """What the findings ask for, by name."""
    untrained = measure_without_training(encoders)
    rates, accuracy, curves, trained = train_all(encoders)
    middle = trained[REFERENCE_BATCH_SIZE, REFERENCE_BATCH_SIZE]
    initial = encoders.initial(seeds)
    return {
        "untrained": untrained,
        "rates": rates,
        "accuracy": accuracy,
        "curves": curves,
        "losses": measure_losses(encoders, trained),
        "bias": {
            "initial": measure_bias(encoders, initial),
            "trained": measure_bias(encoders, middle),
        },
        "accumulated": measure_accumulation(encoders, middle),
    }
