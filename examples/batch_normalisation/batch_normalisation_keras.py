# %% [markdown]
# # Batch normalisation when the batch is tiny (Keras)
#
# Trains a small network with batch, layer, group and no normalisation, first
# with the batch of the gradient held fixed, then with both batches the same.
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
from mnist1d.data import get_dataset_args, make_dataset

from snippets.mean_interval import mean_interval
from snippets.normalise_ghost_batches_keras import (
    normalise_ghost_batches_keras,
)

if keras.backend.backend() != "tensorflow":
    raise ValueError("this program compiles its loop with TensorFlow")

import tensorflow as tf

# %% [markdown]
# ## Settings
#
# Momentum and epsilon of batch normalisation differ between the frameworks'
# defaults; here they are equal. `SHORT = True` gives a run of seconds, to see
# it work; its numbers mean nothing.

# %%
SHORT = False

NUM_TRAIN = 512 if SHORT else 2048
NUM_VALIDATION = 64 if SHORT else 512
NUM_TEST = 512 if SHORT else 1024
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 32
KINDS = ["batch", "layer", "group", "none"]
# Units that group normalisation treats together.
GROUP_SIZE = 8
EPSILON = 1e-5
# Share of the running statistics that stays; PyTorch's is 1 minus this.
RUNNING_SHARE = 0.9
# Momentum of SGD, which is another thing.
MOMENTUM = 0.9

# With the batch of the gradient fixed, only that of the statistics changes.
GRADIENT_BATCH_SIZE = 128
GHOST_SIZES = [2, 32, 128] if SHORT else [2, 4, 8, 32, 128]
GHOST_EPOCHS = 1 if SHORT else 12
# Learning rates are three to the power of these.
GHOST_RATE_POWERS = {
    2: [-6, -5, -4, -3, -2, -1],
    4: [-4, -3, -2, -1, 0],
    8: [-4, -3, -2, -1, 0],
    32: [-4, -3, -2, -1, 0],
    128: [-4, -3, -2, -1, 0],
}

# With both the same.
BATCH_SIZES = [2, 128] if SHORT else [2, 8, 32, 128, 512]
RATE_POWERS = {
    2: [-8, -7, -6, -5, -4, -3, -2],
    8: [-6, -5, -4, -3, -2, -1],
    32: [-5, -4, -3, -2, -1, 0],
    128: [-3, -2, -1, 0, 1],
    512: [-3, -2, -1, 0, 1],
}
NUM_EPOCHS = 1 if SHORT else 5
NUM_UPDATES = 4 if SHORT else 80
# Time, counted in the time of an update of GRADIENT_BATCH_SIZE.
NUM_TIMES = 4 if SHORT else 80

# Of the comparison of gradients, which takes one batch and no training.
MICRO_BATCH_SIZES = [2, 8, 32, 64]
# A relative difference below this is rounding, in float64.
ROUNDING = 1e-10
# Only a larger difference is called one, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 1000
TIMED_UPDATES = 2 if SHORT else 20
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data and network
#
# MNIST-1D: drawn signals of ten kinds. Each seed has data of its own, so that
# an interval holds for another data set as well.


# %%
parts = [NUM_TRAIN, NUM_VALIDATION, NUM_TEST]


def make_data(seed):
    arguments = get_dataset_args()
    # As many of each kind, so a few may be too many; they are left out.
    arguments.num_samples = sum(parts) + NUM_CLASSES
    # The package keeps back one example at least; it is put in its place.
    arguments.train_split = 1 - 1e-9
    arguments.seed = seed
    drawn = make_dataset(arguments)
    x = np.concatenate([drawn["x"], drawn["x_test"]]).astype("float32")
    y = np.concatenate([drawn["y"], drawn["y_test"]]).astype("int32")
    return x, y


seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
drawn = [make_data(seed) for seed in seeds]
ends = np.cumsum(parts)
# [seeds, examples, features] and [seeds, examples].
x_train, x_validation, x_test, _ = np.split(
    np.stack([x for x, _ in drawn]), ends, axis=1
)
y_train, y_validation, y_test, _ = np.split(
    np.stack([y for _, y in drawn]), ends, axis=1
)


def build_model(seed):
    """The network before normalisation is put behind its hidden layers."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


def build_parameters(kind, copies=1):
    """Weights of all seeds, stacked [copies * seeds, ...], for each layer."""
    models = [build_model(seed).get_weights() for seed in seeds]
    parameters = []
    for number in range(0, len(models[0]), 2):
        kernel = np.stack([weights[number] for weights in models])
        kernel = np.tile(kernel, (copies, 1, 1))
        shape = (len(kernel), 1, kernel.shape[-1])
        parameters += [kernel, np.zeros(shape, "float32")]
        if kind != "none" and shape[-1] != NUM_CLASSES:
            parameters += [
                np.ones(shape, "float32"),
                np.zeros(shape, "float32"),
            ]
    return parameters


def normalise(kind, x, gamma, beta, ghost_size):
    """(normalised, statistics), the latter of batch normalisation only."""
    if kind == "batch":
        x, *statistics = normalise_ghost_batches_keras(
            x, gamma, beta, ghost_size, EPSILON
        )
        return x, statistics
    together = x.shape[-1] if kind == "layer" else GROUP_SIZE
    groups = ops.reshape(x, (*x.shape[:-1], -1, together))
    centred = groups - ops.mean(groups, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    groups = centred * ops.rsqrt(variance + EPSILON)
    return ops.reshape(groups, x.shape) * gamma + beta, []


def forward(parameters, x, kind, ghost_size, fixed=None):
    """(outputs, statistics of each hidden layer) for stacked networks.

    fixed: statistics to normalise with, as in evaluation, in place of those
    of the batch.
    """
    parameters, found = iter(parameters), []
    for layer in range(3):
        kernel, bias = next(parameters), next(parameters)
        x = ops.matmul(x, kernel) + bias
        if layer == 2:
            return x, found
        if kind == "batch" and fixed is not None:
            mean, variance = fixed[layer]
            gamma, beta = next(parameters), next(parameters)
            x = (x - mean) * ops.rsqrt(variance + EPSILON) * gamma + beta
        elif kind != "none":
            gamma, beta = next(parameters), next(parameters)
            x, statistics = normalise(kind, x, gamma, beta, ghost_size)
            found.append(statistics)
        x = ops.relu(x)


def losses(outputs, labels):
    each = keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=True
    )
    return ops.mean(each, axis=1)


# %% [markdown]
# ## What the framework's own layer does
#
# With one example, and with the variance that it keeps for evaluation.


# %%
def one_example():
    """(refused, output is beta) for a batch of one in training mode."""
    layer = keras.layers.BatchNormalization(epsilon=EPSILON)
    layer.build((None, 4))
    layer.beta.assign(np.full(4, 3.0))
    x = keras.random.normal((1, 4))
    try:
        outputs = ops.convert_to_numpy(layer(x, training=True))
    except ValueError as error:
        print("a batch of one:", error)
        return True, False
    return False, bool((outputs == 3.0).all())


def kept_variance(batch_size):
    """What the layer keeps, divided by the variance that it divides by."""
    x = np.random.default_rng(FIRST_SEED).normal(size=(batch_size, 1))
    layer = keras.layers.BatchNormalization(
        epsilon=EPSILON, momentum=0.0, dtype="float64"
    )
    layer(x, training=True)
    return float(ops.convert_to_numpy(layer.moving_variance)[0] / x.var())


keras.utils.set_random_seed(FIRST_SEED)
one_is_refused, one_gives_beta = one_example()
kept = {size: kept_variance(size) for size in GHOST_SIZES}
print("variance kept:", kept)

# %% [markdown]
# ## Compare accumulated gradients
#
# The gradient of one batch at once, and the mean of the gradients of its
# micro-batches. In float64, where rounding is far below any real difference.


# %%
def gradients(kind, micro_batch_size):
    """[seeds, weights]: the gradient, accumulated over micro-batches."""
    parameters = [ops.cast(each, "float64") for each in build_parameters(kind)]
    total = 0.0
    for start in range(0, GRADIENT_BATCH_SIZE, micro_batch_size):
        part = slice(start, start + micro_batch_size)
        inputs = ops.cast(x_train[:, part], "float64")
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            outputs, _ = forward(parameters, inputs, kind, micro_batch_size)
            loss = ops.sum(losses(outputs, y_train[:, part]))
            loss = loss * micro_batch_size / GRADIENT_BATCH_SIZE
        total = total + np.concatenate(
            [
                np.reshape(gradient, (NUM_SEEDS, -1))
                for gradient in tape.gradient(loss, parameters)
            ],
            axis=1,
        )
    return total


accumulated = {}
for kind in KINDS:
    whole = gradients(kind, GRADIENT_BATCH_SIZE)
    for size in MICRO_BATCH_SIZES:
        difference = gradients(kind, size) - whole
        accumulated[kind, size] = np.linalg.norm(
            difference, axis=1
        ) / np.linalg.norm(whole, axis=1)

# %% [markdown]
# ## Look at what is normalised
#
# The share of values in the first layer that a ghost batch turns into nearly
# plus or minus one, before any training.


# %%
def share_of_signs(ghost_size):
    kernel = build_parameters("none")[0]
    z = ops.matmul(x_train[:, :GRADIENT_BATCH_SIZE], kernel)
    z, _, _ = normalise_ghost_batches_keras(z, 1.0, 0.0, ghost_size, EPSILON)
    near = np.abs(np.abs(ops.convert_to_numpy(z)) - 1) < 0.01
    return near.mean(axis=(1, 2))


signs = {size: share_of_signs(size) for size in GHOST_SIZES}

# %% [markdown]
# ## Time a plain update
#
# The network with batch normalisation, by `train_on_batch`. Processor
# time of one thread; sizes take turns, and the first round is discarded.


# %%
class PlainTraining:
    """The loop that a reader would write."""

    def __init__(self):
        keras.utils.set_random_seed(FIRST_SEED)
        layers = [keras.Input((NUM_FEATURES,))]
        for _ in range(2):
            layers += [
                keras.layers.Dense(HIDDEN_UNITS),
                keras.layers.BatchNormalization(
                    momentum=RUNNING_SHARE, epsilon=EPSILON
                ),
                keras.layers.ReLU(),
            ]
        layers.append(keras.layers.Dense(NUM_CLASSES))
        self.model = keras.Sequential(layers)
        self.model.compile(
            optimizer=keras.optimizers.SGD(0.01, momentum=MOMENTUM),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.random = np.random.default_rng(FIRST_SEED)

    def epoch(self, batch_size, num_updates):
        """Number of updates: of an epoch, or num_updates if that is less."""
        order = self.random.permutation(NUM_TRAIN)
        batches = np.split(order, range(batch_size, NUM_TRAIN, batch_size))
        for batch in batches[:num_updates]:
            self.model.train_on_batch(x_train[0, batch], y_train[0, batch])
        return len(batches)


plain = PlainTraining()
updates_per_epoch = {}
timed_sizes = sorted({*BATCH_SIZES, GRADIENT_BATCH_SIZE})
update_seconds = {size: [] for size in timed_sizes}
for _ in range(TIMED_REPEATS + 1):
    for size in timed_sizes:
        start = time.process_time()
        updates_per_epoch[size] = plain.epoch(size, TIMED_UPDATES)
        spent = time.process_time() - start
        made = min(TIMED_UPDATES, updates_per_epoch[size])
        update_seconds[size].append(spent / made)
update_seconds = {size: np.array(t[1:]) for size, t in update_seconds.items()}
# The time of an update, in updates of GRADIENT_BATCH_SIZE.
update_time = {
    size: seconds / update_seconds[GRADIENT_BATCH_SIZE]
    for size, seconds in update_seconds.items()
}
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Train
#
# All seeds and rates of a configuration at once. A rate multiplies the loss
# of its networks, which for SGD with momentum is the same as a rate.


# %%
def correction(ghost_size):
    """Keras keeps the variance as it is."""
    return 1.0


def keep_statistics(running, found, ghost_size):
    """Running statistics after ghost batches that came one by one."""
    kept = []
    for (mean, variance), (means, variances) in zip(running, found):
        count = means.shape[1]
        shares = RUNNING_SHARE ** np.arange(count - 1, -1, -1.0)
        shares = (1 - RUNNING_SHARE) * shares[:, None].astype("float32")
        stays = RUNNING_SHARE**count
        new_mean = ops.sum(means * shares, axis=1, keepdims=True)
        new_variance = ops.sum(variances * shares, axis=1, keepdims=True)
        kept.append(
            (
                stays * mean + new_mean,
                stays * variance + correction(ghost_size) * new_variance,
            )
        )
    return kept


def look(parameters, kind, ghost_size, running):
    """{(part, statistics): accuracy [rates, seeds]}."""
    copies = parameters[0].shape[0] // NUM_SEEDS
    found = {}
    modes = {"running": running}
    if kind == "batch":
        # Those of all training examples, with the weights as they are now.
        _, modes["population"] = forward(
            parameters, np.tile(x_train, (copies, 1, 1)), kind, NUM_TRAIN
        )
        modes["training"] = None
    for part, x, y in (
        ("validation", x_validation, y_validation),
        ("test", x_test, y_test),
    ):
        for mode, fixed in modes.items():
            if part == "validation" and mode != "running":
                continue
            outputs, _ = forward(
                parameters, np.tile(x, (copies, 1, 1)), kind, ghost_size, fixed
            )
            chosen = ops.convert_to_numpy(ops.argmax(outputs, axis=2))
            right = chosen == np.tile(y, (copies, 1))
            found[part, mode] = right.mean(axis=1).reshape(copies, -1)
    return found


def train(kind, batch_size, ghost_size, rate_powers, looks):
    """{number of updates: what `look` found}, for each of looks."""
    copies = len(rate_powers)
    parameters = [
        keras.Variable(each) for each in build_parameters(kind, copies)
    ]
    optimizer = keras.optimizers.SGD(1.0, momentum=MOMENTUM)
    optimizer.build(parameters)
    rates = 3.0 ** np.repeat(rate_powers, NUM_SEEDS).astype("float32")
    units = np.zeros((copies * NUM_SEEDS, 1, HIDDEN_UNITS), "float32")
    running = [
        (keras.Variable(units), keras.Variable(units + 1)) for _ in range(2)
    ]
    random = np.random.default_rng(FIRST_SEED + batch_size)
    # Data sets lie one behind the other, so that one index finds an example.
    x, y = x_train.reshape(-1, NUM_FEATURES), y_train.reshape(-1)
    rows = np.arange(NUM_SEEDS, dtype="int32")[:, None] * NUM_TRAIN

    def one_update(start, order):
        batch = tf.slice(order, [0, start], [NUM_SEEDS, batch_size])
        # The same examples for every rate.
        inputs = ops.tile(ops.take(x, batch, axis=0), (copies, 1, 1))
        labels = ops.tile(ops.take(y, batch, axis=0), (copies, 1))
        with tf.GradientTape() as tape:
            weights = [parameter.value for parameter in parameters]
            tape.watch(weights)
            outputs, found = forward(weights, inputs, kind, ghost_size)
            loss = ops.sum(losses(outputs, labels) * rates)
        optimizer.apply(tape.gradient(loss, weights), parameters)
        if kind == "batch":
            kept = keep_statistics(running, found, ghost_size)
            for pair, new in zip(running, kept):
                for variable, value in zip(pair, new):
                    variable.assign(value)
        return start + batch_size, order

    # One call runs every update up to the next look.
    @tf.function(
        input_signature=[tf.TensorSpec([NUM_SEEDS, None], tf.int32)],
        autograph=False,
    )
    def advance(order):
        tf.while_loop(
            lambda start, order: start < tf.shape(order)[1],
            one_update,
            [0, order],
        )

    in_order = np.tile(np.arange(NUM_TRAIN, dtype="int32"), (NUM_SEEDS, 1))
    num_epochs = -(-max(looks) * batch_size // NUM_TRAIN)
    order = np.concatenate(
        [random.permuted(in_order, axis=1) for _ in range(num_epochs)], axis=1
    )
    history, done = {}, 0
    for update in sorted(looks):
        advance(order[:, done * batch_size : update * batch_size] + rows)
        done = update
        history[update] = look(
            [parameter.value for parameter in parameters],
            kind,
            ghost_size,
            [(mean.value, variance.value) for mean, variance in running],
        )
    return history


def updates_for(batch_size):
    """{budget: number of updates}."""
    return {
        "epochs": NUM_EPOCHS * updates_per_epoch[batch_size],
        "updates": NUM_UPDATES,
        "seconds": max(
            1, round(NUM_TIMES / np.median(update_time[batch_size]))
        ),
    }


ghost_updates = GHOST_EPOCHS * updates_per_epoch[GRADIENT_BATCH_SIZE]
ghost_runs = {}
for kind in KINDS:
    for size in GHOST_SIZES if kind == "batch" else [GRADIENT_BATCH_SIZE]:
        ghost_runs[kind, size] = train(
            kind,
            GRADIENT_BATCH_SIZE,
            size,
            GHOST_RATE_POWERS[size],
            {ghost_updates},
        )[ghost_updates]
print("trained with a gradient batch of", GRADIENT_BATCH_SIZE)
runs = {}
for kind in KINDS:
    for size in BATCH_SIZES:
        looks = updates_for(size)
        history = train(
            kind, size, size, RATE_POWERS[size], set(looks.values())
        )
        for budget, update in looks.items():
            runs[budget, kind, size] = history[update]
    print("trained with each batch size:", kind)

# %% [markdown]
# ## Measure
#
# A rate is chosen by the mean validation accuracy of the seeds and reported
# on test data. Differences are paired by seed, which has its own data.

# %%
FEW = {"because": "short run"} if SHORT else {}
POINTS = "percentage points"
values, inside = {}, {}
draws = np.random.default_rng(FIRST_SEED).integers(
    NUM_SEEDS, size=(1000, NUM_SEEDS)
)


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


def best(run):
    return run["validation", "running"].mean(axis=1).argmax()


def put_rate(key, run, powers, timing=False):
    """Store the chosen rate; its interval is over seeds drawn again."""
    found = run["validation", "running"][:, draws].mean(axis=2).argmax(axis=0)
    ends = np.quantile(found, [0.025, 0.975]).round().astype(int)
    index = best(run)
    ends = [min(ends[0], index), max(ends[1], index)]
    values[key] = {"value": 3.0 ** powers[index], "n": NUM_SEEDS}
    values[key] |= {"ci": [3.0 ** powers[end] for end in ends]}
    values[key] |= {"unit": "rate"} | FEW | ({"timing": True} if timing else {})
    inside[key] = 0 < index < len(powers) - 1


def accuracy(run, mode="running"):
    """Percent, for each seed."""
    return 100 * run["test", mode][best(run)]


put_exact("refused_batches_of_one", int(one_is_refused), "batches")
put_exact("batches_of_one_that_give_beta", int(one_gives_beta), "batches")
for size, factor in kept.items():
    put_exact(f"kept_variance.{size}", factor, "ratio")
    put(f"share_of_signs.{size}", 100 * signs[size], "percent")
for size, count in updates_per_epoch.items():
    put_exact(f"updates_per_epoch.{size}", count, "updates")
    if size != GRADIENT_BATCH_SIZE:
        key = f"update_time.{size}"
        put(key, update_time[size], "ratio", ratio=True, timing=True)
for (kind, size), differences in accumulated.items():
    if kind == "batch":
        put(f"accumulation.{size}", differences, "ratio", ratio=True)
    equal = int((differences < ROUNDING).sum())
    put_exact(f"accumulation_equal.{kind}.{size}", equal, "seeds")

# The gradient's batch is fixed; the statistics' is the ghost size.
smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
whole = accuracy(ghost_runs["batch", GRADIENT_BATCH_SIZE])
for (kind, size), run in ghost_runs.items():
    name = size if kind == "batch" else kind
    put_rate(f"ghost.rate.{name}", run, GHOST_RATE_POWERS[size])
    put(f"ghost.accuracy.{name}", accuracy(run), "percent")
    if kind != "batch":
        continue
    layer = accuracy(ghost_runs["layer", GRADIENT_BATCH_SIZE])
    put(f"ghost.behind_layer.{size}", layer - accuracy(run), POINTS)
    population = accuracy(run, "population")
    put(f"ghost.population.{size}", population, "percent")
    put(f"ghost.repaired.{size}", population - accuracy(run), POINTS)
    training = accuracy(run, "training")
    put(f"ghost.training.{size}", training, "percent")
    put(f"ghost.training_below.{size}", accuracy(run) - training, POINTS)
    if size != GRADIENT_BATCH_SIZE:
        put(f"ghost.lost.{size}", whole - accuracy(run), POINTS)

# Both batches are the same.
for (budget, kind, size), run in runs.items():
    timed = budget == "seconds"
    name = f"{budget}.{kind}.{size}"
    put_rate(f"rate.{name}", run, RATE_POWERS[size], timing=timed)
    put(f"accuracy.{name}", accuracy(run), "percent", timing=timed)
    if kind != "batch":
        continue
    for other in KINDS[1:]:
        ahead = accuracy(runs[budget, other, size]) - accuracy(run)
        put(f"behind_{other}.{budget}.{size}", ahead, POINTS, timing=timed)
    population = accuracy(run, "population")
    put(f"population.{budget}.{size}", population, "percent", timing=timed)
    repaired = population - accuracy(run)
    put(f"repaired.{budget}.{size}", repaired, POINTS, timing=timed)
for key, entry in values.items():
    if key.startswith(("ghost.", "accuracy.epochs.", "accumulation.")):
        interval = [f"{end:.3g}" for end in entry.get("ci", [])]
        print(f"{key:36}{entry['value']:10.3g}", *interval)

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def judge_more(name, key):
    """More than the margin, and with the whole interval."""
    judge(name, low(key) > MARGIN_POINTS, key)


judge("one_is_refused", one_is_refused, "refused_batches_of_one")
judge("one_gives_only_beta", one_gives_beta, "batches_of_one_that_give_beta")
judge("kept_variance_is_corrected", kept[2] > 1.5, "kept_variance.2")
judge("two_become_signs", low("share_of_signs.2") > 90, "share_of_signs.2")
for kind in KINDS:
    keys = [f"accumulation_equal.{kind}.{size}" for size in MICRO_BATCH_SIZES]
    holds = all(values[key]["value"] == NUM_SEEDS for key in keys)
    judge(f"accumulation_is_exact.{kind}", holds, *keys)
judge_more("ghosts_of_two_lose", "ghost.lost.2")
if not SHORT:
    judge_more("ghosts_of_eight_lose", "ghost.lost.8")
    judge_more("training_mode_is_worse_at_four", "ghost.training_below.4")
judge_more("ghosts_of_two_are_behind_layer", "ghost.behind_layer.2")
judge_more("population_repairs_few_updates", f"repaired.epochs.{largest}")
for other in KINDS[1:]:
    key = f"behind_{other}.epochs.{GRADIENT_BATCH_SIZE}"
    judge(f"batch_leads_{other}_at_128", high(key) < -MARGIN_POINTS, key)
for other in KINDS[1:]:
    judge_more(
        f"two_are_behind_{other}.epochs", f"behind_{other}.epochs.{smallest}"
    )
    judge_more(
        f"two_are_behind_{other}.updates", f"behind_{other}.updates.{smallest}"
    )
    judge_more(
        f"two_are_behind_{other}.seconds", f"behind_{other}.seconds.{smallest}"
    )
judge("rates_lie_inside_their_grids", all(inside.values()), *inside)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)
print("on the edge:", [key for key, holds in inside.items() if not holds])

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, sizes, keys):
    entries = [values[key] for key in keys]
    series[name] = {
        "x": sizes,
        "y": [entry["value"] for entry in entries],
        "low": [entry["ci"][0] for entry in entries],
        "high": [entry["ci"][1] for entry in entries],
        "unit": entries[0]["unit"],
    }


for mode in ("accuracy", "population", "training"):
    keys = [f"ghost.{mode}.{size}" for size in GHOST_SIZES]
    put_series(f"ghost.{mode}", GHOST_SIZES, keys)
for kind in KINDS[1:]:
    # Without statistics of the batch, no ghost size can change them.
    keys = [f"ghost.accuracy.{kind}"] * len(GHOST_SIZES)
    put_series(f"ghost.{kind}", GHOST_SIZES, keys)
for kind in KINDS:
    for budget in ("epochs", "updates", "seconds"):
        keys = [f"accuracy.{budget}.{kind}.{size}" for size in BATCH_SIZES]
        put_series(f"{budget}.{kind}", BATCH_SIZES, keys)
for budget in ("epochs", "updates", "seconds"):
    keys = [f"population.{budget}.{size}" for size in BATCH_SIZES]
    put_series(f"{budget}.population", BATCH_SIZES, keys)

results = {"values": values, "judgements": judgements, "series": series}
