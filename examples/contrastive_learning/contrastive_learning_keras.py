# %% [markdown]
# # Contrastive learning: the batch is part of the loss (Keras)
#
# Trains a small encoder with in-batch negatives at five batch sizes and asks
# what the batch size changes: the loss, its gradient, the representation.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import time

import keras
import numpy as np
from keras import ops
from sklearn.datasets import load_digits

from snippets.contrast_views_keras import contrast_views_keras
from snippets.mean_interval import mean_interval

# The gradients below are TensorFlow's; the mathematics is not.
if keras.backend.backend() != "tensorflow":
    raise ValueError("this program needs the tensorflow backend of Keras")
import tensorflow as tf

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
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
EARLY_LOOK = 0.4
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
# "Learns" is more than this above what needs no training, and "no
# difference" less than that, in percentage points. Both set beforehand.
LEARNS_POINTS = 10.0
MARGIN_POINTS = 3.0
# Gradients differ if they are more than this apart, in percent of one.
DIFFERENT_PERCENT = 1.0
# Held-out images to find a partner for, and the groups to find it in.
NUM_CANDIDATES = 256
CANDIDATE_SIZES = [8, 16, 32, 64, 128, 256]
# The full set of the gradients, and how often it is divided into batches.
BIAS_EXAMPLES = 512
BIAS_DRAWS = 2 if SHORT else 12
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data and encoder
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


def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_PIXELS,)),
            keras.layers.Dense(
                HIDDEN_UNITS, activation="relu", kernel_initializer="he_uniform"
            ),
            keras.layers.Dense(NUM_DIMENSIONS),
        ]
    )


# %% [markdown]
# ## Count and time the updates of one epoch
#
# The plain loop, as a reader would write it, in seconds of processor time.
# The first epoch is not timed. Sizes take turns, so that a slow moment of the
# machine falls on all of them.


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.optimizer = keras.optimizers.Adam(LEARNING_RATES[1])
        self.optimizer.build(self.model.trainable_variables)
        self.images = pool.reshape(NUM_TRAIN, NUM_POSITIONS, -1)
        self.random = np.random.default_rng(FIRST_SEED)
        self.update = tf.function(self.update)

    def update(self, first, second):
        with tf.GradientTape() as tape:
            loss = contrast_views_keras(
                self.model(first), self.model(second), TEMPERATURE
            )
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)

    def epoch(self):
        order = self.random.permutation(NUM_TRAIN)
        for start in range(0, NUM_TRAIN, self.batch_size):
            batch = order[start : start + self.batch_size]
            positions = (2, len(batch))
            first, second = self.random.integers(NUM_POSITIONS, size=positions)
            # As tensors: for each new array a function is traced again.
            self.update(
                ops.convert_to_tensor(self.images[batch, first]),
                ops.convert_to_tensor(self.images[batch, second]),
            )


plain = {batch_size: PlainTraining(batch_size) for batch_size in BATCH_SIZES}
updates_per_epoch = {}
for batch_size in BATCH_SIZES:
    plain[batch_size].epoch()
    updates_per_epoch[batch_size] = int(plain[batch_size].optimizer.iterations)
print("updates per epoch:", updates_per_epoch)

epoch_seconds = {batch_size: [] for batch_size in BATCH_SIZES}
for _ in range(TIMED_REPEATS):
    for batch_size in BATCH_SIZES:
        start = time.process_time()
        plain[batch_size].epoch()
        epoch_seconds[batch_size].append(time.process_time() - start)
epoch_seconds = {size: np.array(t) for size, t in epoch_seconds.items()}

# %% [markdown]
# ## Many encoders at once
#
# Weights are stacked: `[replicas, inputs, outputs]`. Each replica learns what
# the plain loop would teach it, on batches of its own.

# %%
images_of_pool = ops.convert_to_tensor(pool)


def initial(seeds):
    """Stacked weights and biases of a new encoder for each seed."""
    models = [build_model(int(seed)) for seed in seeds]
    stacked = []
    for weights in zip(*(model.get_weights() for model in models)):
        weight = np.stack(weights)
        # A bias becomes one row, so that it is added to each example.
        stacked.append(weight if weight.ndim == 3 else weight[:, None])
    return stacked


def forward(weights, images):
    hidden = ops.relu(ops.matmul(images, weights[0]) + weights[1])
    return ops.matmul(hidden, weights[2]) + weights[3]


def embed(weights, images):
    """Embeddings [replicas, images, dimensions] as a NumPy array."""
    return ops.convert_to_numpy(forward(weights, images))


def losses(weights, first, second, group_size):
    """InfoNCE of each replica, averaged over groups of so many examples."""
    embedded = forward(weights, ops.concatenate([first, second], axis=-2))
    replicas, rows, dimensions = embedded.shape
    groups = ops.reshape(
        embedded,
        (replicas, 2, rows // 2 // group_size, group_size, dimensions),
    )
    each = contrast_views_keras(groups[:, 0], groups[:, 1], TEMPERATURE)
    return ops.mean(each, axis=1)


def grouped_loss(weights, first, second, group_size):
    return ops.convert_to_numpy(losses(weights, first, second, group_size))


@tf.function(autograph=False)
def gradient_of(weights, first, second, group_size, contrast):
    with tf.GradientTape() as tape:
        tape.watch(weights)
        if contrast:
            loss = ops.sum(losses(weights, first, second, group_size))
        else:
            difference = forward(weights, first) - forward(weights, second)
            loss = ops.sum(ops.mean(ops.square(difference), axis=(1, 2)))
    return tape.gradient(loss, weights)


def grouped_gradient(weights, first, second, group_size, contrast=True):
    """Gradient of each replica; without contrast, of a plain loss instead.

    The plain loss is the mean squared difference of the two embeddings.
    """
    weights = [ops.convert_to_tensor(weight) for weight in weights]
    views = ops.convert_to_tensor(first), ops.convert_to_tensor(second)
    gradient = gradient_of(weights, *views, group_size, contrast)
    return [ops.convert_to_numpy(each) for each in gradient]


def begin(weights):
    """The state of a training: weights, both averages of Adam, updates."""
    weights = [ops.convert_to_tensor(weight) for weight in weights]
    zeros = [ops.zeros_like(weight) for weight in weights]
    return weights, zeros, zeros, ops.convert_to_tensor(0.0)


def state_weights(state):
    return [ops.convert_to_numpy(weight) for weight in state[0]]


# One call makes every update of a part of an epoch.
@tf.function(autograph=False)
def advance_compiled(state, rates, pairs, length, batch_size, group_size):
    replicas = rates.shape[0]

    def update(start, weights, means, squares, done):
        batch = ops.slice(pairs, (0, 0, start), (2, replicas, batch_size))
        views = ops.take(images_of_pool, batch, axis=0)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = losses(weights, views[0], views[1], group_size)
        gradients = tape.gradient(loss, weights)
        done = done + 1.0
        means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
        squares = [
            0.999 * s + 0.001 * ops.square(g)
            for s, g in zip(squares, gradients)
        ]
        moved = []
        for weight, mean, square in zip(weights, means, squares):
            spread = ops.sqrt(square / (1 - ops.power(0.999, done))) + 1e-7
            change = mean / (1 - ops.power(0.9, done)) / spread
            moved.append(weight - rates[:, None, None] * change)
        return start + batch_size, moved, means, squares, done

    _, *state = tf.while_loop(
        lambda start, *_: start < length,
        update,
        (tf.constant(0), *state),
    )
    return tuple(state)


def advance(state, rates, pairs, batch_size, group_size):
    """Train on pool indices [2, replicas, examples], batch after batch.

    Adam is written out because each replica has a rate of its own.
    """
    length = pairs.shape[2]
    # Of one shape, so that the function is compiled only once.
    padded = np.pad(pairs, ((0, 0), (0, 0), (0, NUM_TRAIN - length)))
    rates, pairs, length = map(
        ops.convert_to_tensor, (rates, padded, np.int32(length))
    )
    return advance_compiled(state, rates, pairs, length, batch_size, group_size)


# %% [markdown]
# ## Measure: does it learn?
#
# From here on nothing knows which framework trains. Rates are chosen by the
# accuracy on validation data of seeds that are used for nothing else, once
# for equal epochs and once for equal updates.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def put_exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


def low(key):
    return values[key]["ci"][0]


def high(key):
    return values[key]["ci"][1]


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


def probe(weights, seeds, images, truth):
    """Accuracy of a linear probe on each replica's embeddings."""
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


def train_all(seeds, rates, batch_size, group_size, looks, measure):
    """Train each seed at each rate; measure(weights) at each look."""
    weights = [
        np.repeat(weight, len(rates), axis=0) for weight in initial(seeds)
    ]
    all_rates = np.tile(rates, len(seeds)).astype("float32")
    state = begin(weights)
    per_epoch = updates_per_epoch[batch_size]
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
            state = advance(
                state, all_rates, pairs[:, :, part], batch_size, group_size
            )
            done = stop
            if done in looks:
                found.append(measure(state_weights(state)))
    return found, state_weights(state)


def draw_epoch(random):
    """Pool indices [2, NUM_TRAIN]: two different positions of each image."""
    order = random.permutation(NUM_TRAIN)
    first = random.integers(NUM_POSITIONS, size=NUM_TRAIN)
    shift = random.integers(1, NUM_POSITIONS, size=NUM_TRAIN)
    second = (first + shift) % NUM_POSITIONS
    return (order * NUM_POSITIONS + [first, second]).astype("int32")


seeds = np.arange(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
tuning_seeds = np.arange(1, NUM_TUNING_SEEDS + 1)


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


draws = range(NUM_LABEL_DRAWS)
raw = [[raw_accuracies(seed, draw) for draw in draws] for seed in seeds]
raw_ridge, raw_neighbour, raw_everywhere = np.mean(raw, axis=1).T
random_encoder = probe(initial(seeds), seeds, x_test, y_test)
put("accuracy.raw_linear", 100 * raw_ridge, "%")
put("accuracy.raw_neighbour", 100 * raw_neighbour, "%")
put("accuracy.raw_neighbour_everywhere", 100 * raw_everywhere, "%")
put("accuracy.random_encoder", 100 * random_encoder, "%")

# %% [markdown]
# ## Train

# %%
# A batch and the number of examples that are candidates for one another.
SETUPS = [(size, size) for size in BATCH_SIZES]
SETUPS += [(GROUPED_BATCH_SIZE, size) for size in GROUP_SIZES]
chosen_rates, tuning_curves, accuracy, curves, trained = {}, {}, {}, {}, {}
for batch_size, group_size in SETUPS:
    setup = batch_size, group_size
    last = {
        "epochs": NUM_EPOCHS * updates_per_epoch[batch_size],
        "updates": NUM_UPDATES,
    }
    found, _ = train_all(
        tuning_seeds,
        LEARNING_RATES,
        *setup,
        sorted(set(last.values())),
        lambda weights: probe(weights, tuning_seeds, x_check, y_check),
    )
    for budget, updates in last.items():
        at = sorted(set(last.values())).index(updates)
        curve = found[at].reshape(NUM_TUNING_SEEDS, -1).mean(axis=0)
        tuning_curves[budget, setup] = curve
        chosen_rates[budget, setup] = LEARNING_RATES[curve.argmax()]
    rates = {budget: chosen_rates[budget, setup] for budget in last}
    looks = sorted({max(1, round(last["epochs"] * part)) for part in LOOKS})
    found, trained[setup] = train_all(
        seeds,
        [rates["epochs"]],
        *setup,
        looks,
        lambda weights: probe(weights, seeds, x_test, y_test),
    )
    curves[setup] = np.array(looks), np.array(found)
    accuracy["epochs", setup] = accuracy["updates", setup] = found[-1]
    if last["epochs"] != last["updates"] or len(set(rates.values())) > 1:
        found, _ = train_all(
            seeds,
            [rates["updates"]],
            *setup,
            [last["updates"]],
            lambda weights: probe(weights, seeds, x_test, y_test),
        )
        accuracy["updates", setup] = found[-1]
    print(
        *setup,
        rates,
        {b: round(float(100 * accuracy[b, setup].mean()), 1) for b in last},
    )

# %% [markdown]
# ## Compare at equal epochs, updates and seconds
#
# Equal seconds are those that the quickest size takes for its epochs; the
# accuracy lies between the looks before and after.

# %%
smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
update_seconds = {
    size: seconds / updates_per_epoch[size]
    for size, seconds in epoch_seconds.items()
}
equal_seconds = NUM_EPOCHS * min(
    seconds.mean() for seconds in epoch_seconds.values()
)
for size in BATCH_SIZES:
    looks, found = curves[size, size]
    reached = equal_seconds / update_seconds[size].mean()
    accuracy["seconds", (size, size)] = np.array(
        [np.interp(reached, looks, line) for line in found.T]
    )
    put_exact(f"updates_per_epoch.{size}", updates_per_epoch[size], "updates")
for size in BATCH_SIZES[1:]:
    put(
        f"epoch_speedup.{size}",
        epoch_seconds[smallest] / epoch_seconds[size],
        "ratio",
        ratio=True,
        timing=True,
    )
for (budget, setup), found in accuracy.items():
    batch_size, group_size = setup
    grouped = "" if batch_size == group_size else f".groups_of_{group_size}"
    key = f"{budget}.{batch_size}{grouped}"
    timing = budget == "seconds"
    put(f"accuracy.{key}", 100 * found, "%", timing=timing)
    if not timing:
        put_exact(f"rate.{key}", chosen_rates[budget, setup], "per update")
    reference = REFERENCE_BATCH_SIZE
    if batch_size != reference and not grouped:
        put(
            f"gap.{key}",
            100 * (found - accuracy[budget, (reference, reference)]),
            "percentage points",
            timing=timing,
        )
    if grouped:
        put(
            f"gap.{key}",
            100 * (found - accuracy[budget, (batch_size, batch_size)]),
            "percentage points",
        )
early = LOOKS.index(EARLY_LOOK)
for size in (smallest, largest):
    found = curves[size, size][1][early]
    found = found - curves[REFERENCE_BATCH_SIZE, REFERENCE_BATCH_SIZE][1][early]
    put(f"gap.early.{size}", 100 * found, "percentage points")
    if size == largest:
        late = accuracy["epochs", (size, size)]
        late = late - accuracy["epochs", (reference, reference)]
        put("gap_closed", 100 * (late - found), "percentage points")
for size in BATCH_SIZES:
    found = accuracy["epochs", (size, size)]
    put(f"gain.random.{size}", 100 * (found - random_encoder), "points")
    put(f"gain.raw_linear.{size}", 100 * (found - raw_ridge), "points")
    put(f"gain.raw_neighbour.{size}", 100 * (found - raw_neighbour), "points")

# %% [markdown]
# ## One encoder, many numbers of candidates
#
# The loss of the same embeddings of held-out images, computed in groups.

# %%
for size in CANDIDATE_SIZES:
    put_exact(f"chance_loss.{size}", float(np.log(2 * size - 1)), "nats")
held_out = [x_test[copy::NUM_COPIES][:NUM_CANDIDATES] for copy in (0, 1)]
for trained_size in (smallest, REFERENCE_BATCH_SIZE, largest):
    weights = trained[trained_size, trained_size]
    for candidates in CANDIDATE_SIZES:
        put(
            f"loss.trained_with_{trained_size}.{candidates}",
            grouped_loss(weights, *held_out, candidates),
            "nats",
        )
for size in (smallest, largest, CANDIDATE_SIZES[-1]):
    put(
        f"loss_difference.{size}",
        grouped_loss(trained[largest, largest], *held_out, size)
        - grouped_loss(trained[smallest, smallest], *held_out, size),
        "nats",
    )
put(
    "loss_rise",
    grouped_loss(trained[smallest, smallest], *held_out, CANDIDATE_SIZES[-1])
    - grouped_loss(trained[smallest, smallest], *held_out, smallest),
    "nats",
)

# %% [markdown]
# ## The bias of the gradient
#
# Every image keeps its two views, so only the division into batches is
# random, and each seed has divisions of its own. The product of two independent
# means has no noise of its own on average, so what is left is the distance of
# the expectation.

# %%
random = np.random.default_rng(DATA_SEED)
fixed = draw_epoch(random)[:, :BIAS_EXAMPLES]


def flat(gradient):
    return np.concatenate(
        [part.reshape(len(part), -1) for part in gradient], axis=1
    ).astype("float64")


def dot(left, right):
    return (left * right).sum(axis=1)


encoders = {
    "initial": initial(seeds),
    "trained": trained[REFERENCE_BATCH_SIZE, REFERENCE_BATCH_SIZE],
}
# What the ratio below would be for a bias in proportion to one over the size.
put_exact(
    "bias_ratio.law",
    (1 / smallest - 1 / BIAS_EXAMPLES) / (1 / largest - 1 / BIAS_EXAMPLES),
    "ratio",
)
in_order = np.tile(np.arange(BIAS_EXAMPLES), (NUM_SEEDS, 1))
bias = {}
for name, weights in encoders.items():
    views = pool[fixed[0]], pool[fixed[1]]
    full = flat(grouped_gradient(weights, *views, BIAS_EXAMPLES))
    for size in CANDIDATE_SIZES:
        halves = np.zeros((2, *full.shape))
        for draw in range(BIAS_DRAWS):
            order = random.permuted(in_order, axis=1)
            views = pool[fixed[0][order]], pool[fixed[1][order]]
            gradient = flat(grouped_gradient(weights, *views, size))
            halves[draw % 2] += gradient / (BIAS_DRAWS / 2)
        mean = halves.mean(axis=0)
        squared = dot(halves[0] - full, halves[1] - full) / dot(full, full)
        # Noise can push a product of halves below zero.
        bias[name, size] = np.sqrt(np.maximum(squared, 1e-12))
        length = np.sqrt(np.maximum(dot(halves[0], halves[1]), 1e-12))
        cosine = dot(mean, full) / length / np.sqrt(dot(full, full))
        put(f"bias.{name}.{size}", 100 * bias[name, size], "%")
        put(f"cosine.{name}.{size}", cosine, "cosine")
        put(f"length.{name}.{size}", length / np.sqrt(dot(full, full)), "ratio")
    put(
        f"bias_ratio.{name}",
        bias[name, smallest] / bias[name, largest],
        "ratio",
        ratio=True,
    )

# %% [markdown]
# ## Accumulation is not a larger batch
#
# One batch as a whole, and the mean over its micro-batches. The control is a
# loss in which no example meets another.

# %%
weights = encoders["trained"]
batch = fixed[:, :GROUPED_BATCH_SIZE]
views = pool[batch[0]], pool[batch[1]]
whole = flat(grouped_gradient(weights, *views, GROUPED_BATCH_SIZE))
plain_whole = flat(grouped_gradient(weights, *views, GROUPED_BATCH_SIZE, False))
for size in GROUP_SIZES:
    parts = flat(grouped_gradient(weights, *views, size))
    difference = parts - whole
    put(
        f"accumulated_difference.{size}",
        100 * np.sqrt(dot(difference, difference) / dot(whole, whole)),
        "%",
    )
    plain_parts = np.mean(
        [
            flat(
                grouped_gradient(
                    weights,
                    views[0][start : start + size],
                    views[1][start : start + size],
                    size,
                    False,
                )
            )
            for start in range(0, GROUPED_BATCH_SIZE, size)
        ],
        axis=0,
    )
    difference = plain_parts - plain_whole
    put(
        f"accumulated_control.{size}",
        100
        * np.sqrt(dot(difference, difference) / dot(plain_whole, plain_whole)),
        "%",
    )

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


gains = [
    f"gain.{against}.{size}"
    for against in ("random", "raw_linear", "raw_neighbour")
    for size in BATCH_SIZES
]
judge("every_size_learns", all(low(k) > LEARNS_POINTS for k in gains), *gains)
everywhere = "accuracy.raw_neighbour_everywhere"
bests = [f"accuracy.epochs.{size}" for size in BATCH_SIZES]
judge(
    "shifting_the_labelled_images_is_better",
    all(low(everywhere) > high(key) for key in bests),
    everywhere,
    *bests,
)
key = f"gap.epochs.{smallest}"
judge(
    "smallest_is_level_after_equal_epochs",
    -MARGIN_POINTS < low(key) and high(key) < MARGIN_POINTS,
    key,
)
key = f"gap.epochs.{largest}"
judge("largest_trails_after_equal_epochs", high(key) < 0, key)
key = f"gap.early.{largest}"
judge("largest_is_behind_early", high(key) < -MARGIN_POINTS, key)
judge("gap_closes_with_epochs", low("gap_closed") > 0, "gap_closed")
key = f"gap.updates.{smallest}"
judge("smallest_is_behind_after_equal_updates", high(key) < -MARGIN_POINTS, key)
key = f"gap.updates.{largest}"
judge("largest_is_ahead_after_equal_updates", low(key) > MARGIN_POINTS, key)
key = f"gap.seconds.{smallest}"
judge("smallest_is_behind_after_equal_seconds", high(key) < -MARGIN_POINTS, key)
few, more = GROUP_SIZES
key = f"gap.epochs.{GROUPED_BATCH_SIZE}.groups_of_{few}"
judge("few_negatives_are_worse", high(key) < 0, key)
key = f"gap.epochs.{GROUPED_BATCH_SIZE}.groups_of_{more}"
judge(
    "more_negatives_are_level",
    -MARGIN_POINTS < low(key) and high(key) < MARGIN_POINTS,
    key,
)
key = f"length.trained.{smallest}"
judge("expected_gradient_is_shorter", high(key) < 1, key)
judge("loss_rises_with_candidates", low("loss_rise") > 0, "loss_rise")
judge(
    "smallest_has_the_lowest_own_loss",
    high(f"loss.trained_with_{smallest}.{smallest}")
    < low(f"loss.trained_with_{largest}.{largest}"),
    f"loss.trained_with_{smallest}.{smallest}",
    f"loss.trained_with_{largest}.{largest}",
)
for name in encoders:
    keys = [f"bias.{name}.{size}" for size in CANDIDATE_SIZES]
    judge(
        f"bias_falls.{name}",
        all(low(a) > high(b) for a, b in zip(keys, keys[1:])),
        *keys,
    )
keys = [f"accumulated_difference.{size}" for size in GROUP_SIZES]
judge(
    "accumulation_differs",
    all(low(key) > DIFFERENT_PERCENT for key in keys),
    *keys,
)
inside = [
    rate not in (LEARNING_RATES[0], LEARNING_RATES[-1])
    for rate in chosen_rates.values()
]
judge(
    "best_rates_lie_inside_the_grid",
    all(inside),
    *(key for key in values if key.startswith("rate.")),
)
judge(
    "epoch_is_faster_at_the_largest",
    low(f"epoch_speedup.{largest}") > 1,
    f"epoch_speedup.{largest}",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, xs, keys):
    series[name] = {
        "x": list(xs),
        "y": [values[key]["value"] for key in keys],
        "low": [low(key) for key in keys],
        "high": [high(key) for key in keys],
        "unit": values[keys[0]]["unit"],
    }


for budget in ("epochs", "updates", "seconds"):
    keys = [f"accuracy.{budget}.{size}" for size in BATCH_SIZES]
    put_series(f"accuracy.{budget}", BATCH_SIZES, keys)
for name in ("random_encoder", "raw_neighbour"):
    keys = [f"accuracy.{name}"] * len(BATCH_SIZES)
    put_series(f"accuracy.{name}", BATCH_SIZES, keys)
for name in encoders:
    keys = [f"bias.{name}.{size}" for size in CANDIDATE_SIZES]
    put_series(f"bias.{name}", CANDIDATE_SIZES, keys)
for size in (smallest, REFERENCE_BATCH_SIZE, largest):
    keys = [f"loss.trained_with_{size}.{other}" for other in CANDIDATE_SIZES]
    put_series(f"loss.{size}", CANDIDATE_SIZES, keys)
series["loss.chance"] = {
    "x": CANDIDATE_SIZES,
    "y": [values[f"chance_loss.{size}"]["value"] for size in CANDIDATE_SIZES],
    "unit": "nats",
}
for budget in ("epochs", "updates"):
    for size in (smallest, largest):
        series[f"tuning.{budget}.{size}"] = {
            "x": LEARNING_RATES,
            "y": (100 * tuning_curves[budget, (size, size)]).tolist(),
            "unit": "%",
        }

results = {"values": values, "judgements": judgements, "series": series}
