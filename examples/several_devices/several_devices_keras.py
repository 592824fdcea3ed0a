# %% [markdown]
# # Several devices (Keras)
#
# Trains on two processes that share every batch, and compares the gradient,
# the weights and the time with those of one process.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# Each process has one core.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import json
import time

import keras
import numpy as np
from keras import ops
from mnist1d.data import get_dataset_args, make_dataset

from snippets.mean_interval import mean_interval
from snippets.run_processes import run_processes
from snippets.shard_global_batch import shard_global_batch
from snippets.update_on_devices_keras import update_on_devices_keras

if keras.backend.backend() != "tensorflow":
    raise ValueError("this program shares its work by TensorFlow")

import tensorflow as tf

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

NUM_DEVICES = 2
# Seconds for everything that the two processes do.
TIME_LIMIT = 300
NUM_TRAIN = 256 if SHORT else 1024
NUM_VALIDATION = 64 if SHORT else 512
NUM_TEST = 64 if SHORT else 1024
NUM_FEATURES = 40
NUM_CLASSES = 10
HIDDEN_UNITS = 64
EPSILON = 1e-5

# Examples of one device in an update, where nothing else is said.
DEVICE_BATCH_SIZE = 32
# Where gradients are accumulated, the most examples of one forward pass.
MICRO_BATCH_SIZE = 16
# Updates after which the weights are compared.
EQUAL_UPDATES = 20
# The first device has DEVICE_BATCH_SIZE examples, the second these.
SECOND_SHARES = [0, 4, 32] if SHORT else [0, 1, 2, 4, 8, 16, 32]
# Examples of one device, with batch normalisation.
NORMALISED_SIZES = [4, 32] if SHORT else [4, 8, 16, 32, 64]
# Examples of an epoch that do not fill the last global batch of EPOCH_BATCH.
EPOCH_SIZES = [97, 101]
EPOCH_BATCH = 16
# A relative difference below this is rounding, in float64.
ROUNDING = 1e-8

MOMENTUM = 0.9
# Learning rates are two to the power of these.
RATE_POWERS = [-6, -5] if SHORT else [-10, -9, -8, -7, -6, -5, -4, -3, -2, -1]
NUM_EPOCHS = 1 if SHORT else 10
# A rate far below the best one, as such a power.
SLOW_POWER = -6 if SHORT else -7
# How often the accuracy is looked at, in updates.
LOOK = 8 if SHORT else 16
# Only a larger difference is called one, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0

# A larger network, whose updates are timed; examples of one device.
TIMED_SIZES = [8, 32, 128] if SHORT else [8, 32, 128, 512, 2048]
TIMED_UNITS = 256
TIMED_UPDATES = 2 if SHORT else 4
TIMED_REPEATS = 2 if SHORT else 20

NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 1000

# %% [markdown]
# ## Data and network
#
# MNIST-1D: drawn signals of ten kinds. Each seed has data of its own, so that
# an interval holds for another data set as well.


# %%
def make_data(seed):
    arguments = get_dataset_args()
    # As many of each kind, so a few may be too many; they are left out.
    parts = [NUM_TRAIN, NUM_VALIDATION, NUM_TEST]
    arguments.num_samples = sum(parts) + NUM_CLASSES
    # The package keeps back one example at least; it is put in its place.
    arguments.train_split = 1 - 1e-9
    arguments.seed = seed
    drawn = make_dataset(arguments)
    x = np.concatenate([drawn["x"], drawn["x_test"]]).astype("float32")
    y = np.concatenate([drawn["y"], drawn["y_test"]]).astype("int64")
    ends = np.cumsum(parts)
    return np.split(x, ends)[:3], np.split(y, ends)[:3]


seeds = list(range(FIRST_SEED, FIRST_SEED + NUM_SEEDS))
drawn = [make_data(seed) for seed in seeds]
# For each part [seeds, examples, features], and [seeds, examples].
x_parts = [np.stack(part) for part in zip(*(x for x, _ in drawn))]
y_parts = [np.stack(part) for part in zip(*(y for _, y in drawn))]


def build_model(seed, normalise=None, units=HIDDEN_UNITS, dtype="float32"):
    """normalise: None, "local" or "shared" statistics."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((NUM_FEATURES,), dtype=dtype)]
    for _ in range(2):
        layers.append(keras.layers.Dense(units, dtype=dtype))
        if normalise:
            layers.append(
                keras.layers.BatchNormalization(
                    epsilon=EPSILON,
                    synchronized=normalise == "shared",
                    dtype=dtype,
                )
            )
        layers.append(keras.layers.ReLU(dtype=dtype))
    layers.append(keras.layers.Dense(NUM_CLASSES, dtype=dtype))
    return keras.Sequential(layers)


# %% [markdown]
# ## What the two processes compute together
#
# Each case says how a global batch is shared, and what the devices do with
# it. In float64, where rounding is far below any real difference. With a
# learning rate of one and no momentum, the change of the weights in one update
# is the gradient.


# %%
def make_cases():
    """{name: (normalise, rule, ranges for each device, updates)}."""
    whole = NUM_DEVICES * DEVICE_BATCH_SIZE
    even = shard_global_batch(whole, NUM_DEVICES, DEVICE_BATCH_SIZE)["ranges"]
    parts = shard_global_batch(whole, NUM_DEVICES, MICRO_BATCH_SIZE)["ranges"]
    cases = {
        "even": (None, "weighted", even, 1),
        "means": (None, "means", even, 1),
        "accumulated": (None, "weighted", parts, 1),
        "updates": (None, "weighted", even, EQUAL_UPDATES),
    }
    for share in SECOND_SHARES:
        first = (0, DEVICE_BATCH_SIZE)
        uneven = [[first], [(first[1], first[1] + share)]]
        cases[f"uneven_means.{share}"] = (None, "means", uneven, 1)
        cases[f"uneven_weighted.{share}"] = (None, "weighted", uneven, 1)
    for size in NORMALISED_SIZES:
        ranges = [[(0, size)], [(size, 2 * size)]]
        cases[f"normalised_local.{size}"] = ("local", "weighted", ranges, 1)
        cases[f"normalised_shared.{size}"] = ("shared", "weighted", ranges, 1)
    return cases


def batch_of(number, seed_number, start, stop):
    """Examples start to stop of global batch number, in the data's order."""
    offset = number * NUM_DEVICES * DEVICE_BATCH_SIZE
    chosen = np.arange(offset + start, offset + stop) % NUM_TRAIN
    inputs = tf.constant(x_parts[0][seed_number, chosen].astype("float64"))
    return inputs, tf.constant(y_parts[0][seed_number, chosen])


def case_optimizer(model, updates):
    """Momentum only where there are several updates to pass it on to."""
    several = updates > 1
    optimizer = keras.optimizers.SGD(
        0.1 if several else 1.0, MOMENTUM if several else 0.0
    )
    optimizer.build(model.trainable_variables)
    return optimizer


def weights_of(model):
    weights = [each.numpy().ravel() for each in model.trainable_variables]
    return np.concatenate(weights)


# Built once for each seed, since building takes longer than training.
first_weights = {
    kind: [
        build_model(seed, kind, dtype="float64").get_weights() for seed in seeds
    ]
    for kind in (None, "local")
}


def start_anew(model, optimizer, row, normalise):
    """Give a model the weights of a seed, without tracing anything again."""
    model.set_weights(first_weights[normalise and "local"][row])
    for variable in optimizer.variables:
        # Its momentum; neither its rate nor its count of updates.
        if variable.shape != ():
            variable.assign(ops.zeros_like(variable))


def compile_update(strategy, model, optimizer, rule, num_batches):
    """One update, traced once: the sizes of the batches are left open."""
    each_loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=None
    )
    mean_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    batch = (
        tf.TensorSpec([None, NUM_FEATURES], "float64"),
        tf.TensorSpec([None], "int64"),
    )
    size = tf.TensorSpec([], "float64")

    def on_device(inputs, labels):
        # What one would write for one device. Under a strategy, Keras
        # divides a mean loss by the devices, and adds up the gradients.
        with tf.GradientTape() as tape:
            loss = mean_loss(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    @tf.function(input_signature=[(batch,) * num_batches, size])
    def update(batches, size):
        if rule == "means":
            strategy.run(on_device, args=batches[0])
        else:
            update_on_devices_keras(
                strategy, model, each_loss, optimizer, batches, size
            )

    return update


def run_cases(process, strategy):
    """{case: weights [seeds, weights]} after the case's updates."""
    found, compiled = {}, {}
    for name, (normalise, rule, ranges, updates) in make_cases().items():
        key = normalise, rule, len(ranges[0]), updates
        if key not in compiled:
            with strategy.scope():
                model = build_model(FIRST_SEED, normalise, dtype="float64")
                optimizer = case_optimizer(model, updates)
            update = compile_update(
                strategy, model, optimizer, rule, len(ranges[0])
            )
            compiled[key] = model, optimizer, update
        model, optimizer, update = compiled[key]
        rows = []
        size = sum(stop - start for share in ranges for start, stop in share)
        for row in range(NUM_SEEDS):
            start_anew(model, optimizer, row, normalise)
            for number in range(updates):
                batches = [
                    batch_of(number, row, *part) for part in ranges[process]
                ]
                update(tuple(batches), tf.constant(size, "float64"))
            rows.append(weights_of(model))
        found[name] = np.stack(rows)
    return found


def run_cases_alone():
    """{case: (weights before, and after) [seeds, weights]}, in one process."""
    found, compiled = {}, {}
    for name, (normalise, _, ranges, updates) in make_cases().items():
        key = normalise, updates
        if key not in compiled:
            model = build_model(
                FIRST_SEED, normalise and "local", dtype="float64"
            )
            optimizer = case_optimizer(model, updates)
            strategy = tf.distribute.get_strategy()
            update = compile_update(strategy, model, optimizer, "means", 1)
            compiled[key] = model, optimizer, update
        model, optimizer, update = compiled[key]
        before, after = [], []
        for row in range(NUM_SEEDS):
            start_anew(model, optimizer, row, normalise)
            before.append(weights_of(model))
            size = ranges[-1][-1][1]
            for number in range(updates):
                batches = (batch_of(number, row, 0, size),)
                update(batches, tf.constant(size, "float64"))
            after.append(weights_of(model))
        found[name] = (np.stack(before), np.stack(after))
    return found


def share_epoch(strategy, num_examples, drop):
    """The examples of this process, batch by batch, by the usual tool."""
    data = tf.data.Dataset.range(num_examples)
    data = data.batch(EPOCH_BATCH, drop_remainder=drop)
    return [
        np.concatenate(
            [each.numpy() for each in strategy.experimental_local_results(part)]
        ).tolist()
        for part in strategy.experimental_distribute_dataset(data)
    ]


def usual_training(strategy):
    """The training of the framework's own guide; "" if it runs."""
    with strategy.scope():
        model = build_model(FIRST_SEED)
        model.compile(
            keras.optimizers.SGD(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    data = tf.data.Dataset.from_tensor_slices((x_parts[0][0], y_parts[0][0]))
    try:
        model.fit(data.batch(NUM_DEVICES * DEVICE_BATCH_SIZE), verbose=0)
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def synchronised_layer(strategy):
    """The framework's own layer with shared statistics; "" if it runs."""
    with strategy.scope():
        model = build_model(FIRST_SEED, "shared", dtype="float64")
    try:
        inputs, _ = batch_of(0, 0, 0, DEVICE_BATCH_SIZE)
        strategy.run(lambda inputs: model(inputs, training=True), (inputs,))
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


# %% [markdown]
# ## Time an update
#
# The exchange of the gradients alone; an update with it; and the same update
# without it. Sizes take turns, and the first round is discarded. By the clock,
# since a process that waits uses no processor time.


# %%
def time_updates(strategy):
    """({what or (what, size): seconds [repeats]}, number of weights)."""
    random = np.random.default_rng(FIRST_SEED)
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def compile_timed(strategy):
        with strategy.scope():
            model = build_model(FIRST_SEED, units=TIMED_UNITS)
            optimizer = keras.optimizers.SGD(0.01)
            optimizer.build(model.trainable_variables)

        def on_device(inputs, labels):
            with tf.GradientTape() as tape:
                loss = loss_function(labels, model(inputs, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)

        @tf.function
        def update(inputs, labels):
            strategy.run(on_device, args=(inputs, labels))

        return model, update

    # Made here, the second knows of no other device.
    alone = tf.distribute.get_strategy()
    model, update = compile_timed(strategy)
    _, local = compile_timed(alone)
    count = model.count_params()

    def on_device():
        context = tf.distribute.get_replica_context()
        return context.all_reduce("sum", tf.zeros(count))

    @tf.function
    def exchange():
        return strategy.run(on_device)

    batches = {
        size: (
            tf.constant(random.normal(size=(size, NUM_FEATURES)), "float32"),
            tf.constant(random.integers(NUM_CLASSES, size=size)),
        )
        for size in TIMED_SIZES
    }

    def seconds(action, *arguments):
        exchange()
        start = time.perf_counter()
        for _ in range(TIMED_UPDATES):
            action(*arguments)
        return (time.perf_counter() - start) / TIMED_UPDATES

    found = {}
    for _ in range(TIMED_REPEATS + 1):
        for size in TIMED_SIZES:
            for name, *action in (
                ("exchange", exchange),
                ("update", update, *batches[size]),
                ("local", local, *batches[size]),
            ):
                found.setdefault((name, size), []).append(seconds(*action))
    return {key: np.array(each[1:]) for key, each in found.items()}, count


# %% [markdown]
# ## Train with many rates
#
# All seeds and rates at once, as one network whose layers are stacks of
# layers. A rate multiplies the loss of its networks, which for SGD with
# momentum is the same as a rate.


# %%
class Stack(keras.layers.Layer):
    """The networks of all seeds, once for each rate."""

    def __init__(self):
        super().__init__()
        models = [build_model(seed).get_weights() for seed in seeds]
        self.kernels, self.biases = [], []
        for number in range(0, len(models[0]), 2):
            kernel = np.stack([weights[number] for weights in models])
            kernel = np.tile(kernel, (len(RATE_POWERS), 1, 1))
            shape = (len(kernel), 1, kernel.shape[-1])
            self.kernels.append(self.add_weight(shape=kernel.shape))
            self.kernels[-1].assign(kernel)
            self.biases.append(
                self.add_weight(shape=shape, initializer="zeros")
            )

    def call(self, x):
        """[examples, seeds, features] to [examples, rates * seeds, classes]."""
        x = ops.tile(ops.transpose(x, (1, 0, 2)), (len(RATE_POWERS), 1, 1))
        for kernel, bias in zip(self.kernels, self.biases):
            if kernel is not self.kernels[0]:
                x = ops.relu(x)
            x = ops.matmul(x, kernel) + bias
        return ops.transpose(x, (1, 0, 2))


def stack_loss(labels, outputs):
    """[examples]: losses of all networks, each times its rate."""
    rates = 2.0 ** np.repeat(np.array(RATE_POWERS, "float32"), NUM_SEEDS)
    labels = ops.tile(labels, (1, len(RATE_POWERS)))
    losses = keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=True
    )
    return ops.sum(losses * rates, axis=1)


def look(stack):
    """[2, rates, seeds]: accuracy on validation data and on test data."""
    found = []
    for x, y in zip(x_parts[1:], y_parts[1:]):
        outputs = stack(x.transpose(1, 0, 2))
        predicted = ops.convert_to_numpy(outputs).argmax(axis=2).T
        right = predicted == np.tile(y, (len(RATE_POWERS), 1))
        found.append(right.mean(axis=1).reshape(-1, NUM_SEEDS))
    return np.array(found)


def train_stack(process=0, num_devices=1, strategy=None):
    """[looks, 2, rates, seeds]: accuracies during training, and updates made.

    As many updates as one device makes in all its epochs.
    """
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        stack = Stack()
        model = keras.Sequential(
            [keras.Input((NUM_SEEDS, NUM_FEATURES)), stack]
        )
        optimizer = keras.optimizers.SGD(1.0, MOMENTUM)
        optimizer.build(model.trainable_variables)
    batch_size = num_devices * DEVICE_BATCH_SIZE
    shards = shard_global_batch(batch_size, num_devices, DEVICE_BATCH_SIZE)
    ranges = shards["ranges"][process]

    @tf.function
    def update(micro_batches):
        update_on_devices_keras(
            strategy, model, stack_loss, optimizer, micro_batches, batch_size
        )

    # The same seed on all devices, so that they divide one and the same order.
    random = np.random.default_rng(FIRST_SEED + batch_size)
    updates = NUM_EPOCHS * NUM_TRAIN // DEVICE_BATCH_SIZE
    rows = np.arange(NUM_SEEDS)[:, None]
    history, position = [], NUM_TRAIN
    for number in range(1, updates + 1):
        if position >= NUM_TRAIN:
            order = np.tile(np.arange(NUM_TRAIN), (NUM_SEEDS, 1))
            order, position = random.permuted(order, axis=1), 0
        batch = order[:, position : position + batch_size]
        position += batch_size
        micro_batches = [
            (
                tf.constant(
                    x_parts[0][rows, batch[:, start:stop]].transpose(1, 0, 2)
                ),
                tf.constant(y_parts[0][rows, batch[:, start:stop]].T),
            )
            for start, stop in ranges
        ]
        update(micro_batches)
        if number % LOOK == 0:
            history.append(look(stack))
    return np.array(history)


# %% [markdown]
# ## Run
#
# First in two processes, then in one.


# %%
def work(process, addresses):
    """All that the two processes do together."""
    # Tells TensorFlow who takes part, and who of them this is.
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": process},
        }
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    found = {"times": time_updates(strategy)}
    found["cases"] = run_cases(process, strategy)
    found["epochs"] = {
        (size, drop): share_epoch(strategy, size, drop)
        for size in EPOCH_SIZES
        for drop in (False, True)
    }
    found["history"] = train_stack(process, NUM_DEVICES, strategy)
    found["synchronised_layer"] = synchronised_layer(strategy)
    found["usual_training"] = usual_training(strategy)
    return found


began = time.perf_counter()
together = run_processes(work, NUM_DEVICES, TIME_LIMIT)
print(f"two processes: {time.perf_counter() - began:.0f} s")
alone = run_cases_alone()
history_alone = train_stack()
print(f"and one: {time.perf_counter() - began:.0f} s")
for name in ("usual_training", "synchronised_layer"):
    print(f"{name}: {together[0][name][:200] or 'runs'}")

# %% [markdown]
# ## Measure
#
# A rate is chosen by the mean validation accuracy of the seeds and reported
# on test data. Differences are paired by seed, which has its own data.

# %%
FEW = {"because": "short run"} if SHORT else {}
POINTS = "percentage points"
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


# How far the devices' change of the weights is from that of one process.
for case, (before, after) in alone.items():
    differences = together[0]["cases"][case] - after
    differences = np.linalg.norm(differences, axis=1)
    differences /= np.linalg.norm(after - before, axis=1)
    equal = int((differences < ROUNDING).sum())
    put_exact(f"equal.{case}", equal, "seeds")
    if equal == 0:
        put(f"difference.{case}", differences, "ratio", ratio=True)
put_exact("global_batch_size", NUM_DEVICES * DEVICE_BATCH_SIZE, "examples")
apart = [
    np.abs(together[0]["cases"][case] - together[1]["cases"][case]).max()
    for case in alone
]
put_exact("devices_differ", float(max(apart)), "weight")

# Which examples the devices see in an epoch.
for (size, drop), first in together[0]["epochs"].items():
    second = together[1]["epochs"][size, drop]
    seen = [index for batch in first + second for index in batch]
    name = f"{size}.{'drop' if drop else 'keep'}"
    put_exact(f"repeated.{name}", len(seen) - len(set(seen)), "examples")
    put_exact(f"left_out.{name}", size - len(set(seen)), "examples")
    empty = sum(not batch for batch in first + second)
    put_exact(f"empty_shares.{name}", empty, "batches")
    put_exact(f"updates.{name}", max(len(first), len(second)), "updates")
    last = abs(len(first[-1]) - len(second[-1]))
    put_exact(f"last_shares_differ.{name}", last, "examples")
for name in ("usual_training", "synchronised_layer"):
    put_exact(f"refused.{name}", int(bool(together[0][name])), "programs")

# What the exchange costs.
times, num_weights = together[0]["times"]
put_exact("bytes_per_update", 4 * num_weights, "bytes")
for size in TIMED_SIZES:
    exchange, update, without = (
        times[name, size] for name in ("exchange", "update", "local")
    )
    share = exchange / update
    put(f"exchange_share.{size}", share, "ratio", ratio=True, timing=True)
    slower = update / without
    put(f"slower.{size}", slower, "ratio", ratio=True, timing=True)
small, large = TIMED_SIZES[0], TIMED_SIZES[-1]
shares = {
    size: times["exchange", size] / times["update", size]
    for size in (small, large)
}
put("share_falls_by", shares[small] / shares[large], "ratio", True, True)

# The same examples for each device, hence a batch twice as large.
one_batch = DEVICE_BATCH_SIZE
two_batch = NUM_DEVICES * DEVICE_BATCH_SIZE
for size in (one_batch, two_batch):
    put_exact(f"updates_per_epoch.{size}", NUM_TRAIN // size, "updates")
history_together = together[0]["history"]
total = NUM_EPOCHS * NUM_TRAIN // DEVICE_BATCH_SIZE
looks = {
    "epochs": total // NUM_DEVICES,
    "updates": total,
    "seconds": total / values[f"slower.{one_batch}"]["value"],
}
one = history_alone[-1]
grid = range(len(RATE_POWERS))
slow = RATE_POWERS.index(SLOW_POWER)
draws = np.random.default_rng(FIRST_SEED).integers(
    NUM_SEEDS, size=(1000, NUM_SEEDS)
)
inside = {}


def accuracy(run, rate):
    """Test accuracy in percent, for each seed."""
    return 100 * run[1, rate]


def put_rate(key, run, timing=False):
    """Store the chosen rate; its interval is over seeds drawn again."""
    best = int(run[0].mean(axis=1).argmax())
    found = run[0][:, draws].mean(axis=2).argmax(axis=0)
    ends = np.quantile(found, [0.025, 0.975]).round().astype(int)
    ends = [min(ends[0], best), max(ends[1], best)]
    values[key] = {"value": 2.0 ** RATE_POWERS[best], "n": NUM_SEEDS}
    values[key] |= {"ci": [2.0 ** RATE_POWERS[end] for end in ends]}
    values[key] |= {"unit": "rate"} | FEW | ({"timing": True} if timing else {})
    inside[key] = 0 < best < len(RATE_POWERS) - 1
    return best


best_one = put_rate("rate.one", one)
put("accuracy.one", accuracy(one, best_one), "percent")
runs = {"one": one}
for budget, updates in looks.items():
    timed = budget == "seconds"
    # The last look before the budget is spent, at least the first.
    index = min(max(1, int(updates // LOOK)), len(history_together)) - 1
    two = runs[f"two.{budget}"] = history_together[index]
    best_two = put_rate(f"rate.{budget}", two, timing=timed)
    put(f"accuracy.{budget}", accuracy(two, best_two), "percent", timing=timed)
    gain = accuracy(two, best_two) - accuracy(one, best_one)
    put(f"gained.{budget}.tuned", gain, POINTS, timing=timed)
    # With a rate so low that no network is near its limit.
    for name, rate in (("same", slow), ("doubled", slow + 1)):
        gain = accuracy(two, rate) - accuracy(one, slow)
        put(f"gained.{budget}.slow_{name}", gain, POINTS, timing=timed)
    gain = accuracy(two, slow + 1) - accuracy(two, slow)
    put(f"doubling_gained.{budget}", gain, POINTS, timing=timed)
for key, entry in values.items():
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


def judge_equal(key, *cases):
    keys = [f"equal.{case}" for case in cases]
    judge(key, all(values[k]["value"] == NUM_SEEDS for k in keys), *keys)


judge_equal("even_is_exact", "even", "means")
judge_equal("accumulated_is_exact", "accumulated")
judge_equal("updates_are_exact", "updates")
judge_equal(
    "weighted_is_exact", *[f"uneven_weighted.{n}" for n in SECOND_SHARES]
)
judge_equal(
    "shared_statistics_are_exact",
    *[f"normalised_shared.{size}" for size in NORMALISED_SIZES],
)
uneven = [share for share in SECOND_SHARES if 0 < share < DEVICE_BATCH_SIZE]
keys = [f"equal.uneven_means.{share}" for share in uneven]
differ = all(values[key]["value"] == 0 for key in keys)
judge("uneven_means_differ", differ, *keys)
key = "difference.uneven_means.0"
halved = max(abs(low(key) - 0.5), abs(high(key) - 0.5)) < ROUNDING
judge("empty_share_halves", halved, key)
keys = [f"equal.normalised_local.{size}" for size in NORMALISED_SIZES]
differ = all(values[key]["value"] == 0 for key in keys)
judge("local_statistics_differ", differ, *keys)
judge(
    "devices_stay_alike",
    values["devices_differ"]["value"] == 0,
    "devices_differ",
)
for name in ("usual_training", "synchronised_layer"):
    key = f"refused.{name}"
    judge(f"{name}_runs", values[key]["value"] == 0, key)
    judge(f"{name}_is_refused", values[key]["value"] == 1, key)
for size in EPOCH_SIZES:
    key = f"repeated.{size}.keep"
    judge(f"some_seen_twice.{size}", values[key]["value"] > 0, key)
    key = f"left_out.{size}.drop"
    judge(f"dropping_leaves_out.{size}", values[key]["value"] > 0, key)
    key = f"empty_shares.{size}.keep"
    judge(f"a_share_is_empty.{size}", values[key]["value"] > 0, key)
judge("share_falls", low("share_falls_by") > 1.5, "share_falls_by")
key = "gained.epochs.slow_same"
judge("same_slow_rate_falls_behind", high(key) < -MARGIN_POINTS, key)
key = "doubling_gained.epochs"
judge("doubling_a_slow_rate_helps", low(key) > MARGIN_POINTS, key)
exact_rates = [key for key in inside if "seconds" not in key]
holds = all(inside[key] for key in exact_rates)
judge("rates_lie_inside_their_grid", holds, *exact_rates)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, x, keys):
    entries = [values[key] for key in keys]
    series[name] = {
        "x": x,
        "y": [entry["value"] for entry in entries],
        "low": [entry["ci"][0] for entry in entries],
        "high": [entry["ci"][1] for entry in entries],
        "unit": entries[0]["unit"],
    }


keys = [f"difference.uneven_means.{share}" for share in uneven]
put_series("uneven", uneven, keys)
keys = [f"difference.normalised_local.{size}" for size in NORMALISED_SIZES]
put_series("normalised", NORMALISED_SIZES, keys)
keys = [f"exchange_share.{size}" for size in TIMED_SIZES]
put_series("exchange_share", TIMED_SIZES, keys)
for name, run in runs.items():
    found = [mean_interval(accuracy(run, rate)) for rate in grid]
    series[f"accuracy.{name}"] = {
        "x": [2.0**power for power in RATE_POWERS],
        "y": [each[0] for each in found],
        "low": [each[1] for each in found],
        "high": [each[2] for each in found],
        "unit": "percent",
    }

results = {"values": values, "judgements": judgements, "series": series}
