# %% [markdown]
# # Gradient accumulation: where it equals the large batch (Keras)
#
# Compares updates from micro-batches with those of the whole batch, makes the
# usual mistakes on purpose, and measures what each of them costs.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute

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

from snippets.accumulate_gradients_keras import accumulate_gradients_keras
from snippets.mean_interval import mean_interval

# %% [markdown]
# ## Settings
#
# The device is found. `SHORT = True` gives a run of seconds, to see it work;
# its numbers mean nothing.

# %%
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
# A relative difference below this is rounding. Set beforehand.
ROUNDING = {"float32": 1e-4, "float64": 1e-9}

OPTIMIZERS = ["sgd", "adam"]
# Momentum of SGD and epsilon of Adam.
MOMENTUM = 0.9
EPSILON = 1e-7
# Learning rates are three to the power of these.
RATE_POWERS = (
    {"sgd": [-4, -3, -2], "adam": [-6, -5, -4]}
    if SHORT
    else {"sgd": [-5, -4, -3, -2, -1, 0], "adam": [-7, -6, -5, -4, -3, -2]}
)
NUM_EPOCHS = 1 if SHORT else 15
MISTAKES = [
    "mean_of_means",
    "wrong_divisor",
    "dropped_group",
    "carried_group",
    "no_division",
    "no_reset",
]
# An epsilon that is no longer small against the gradients.
LARGE_EPSILON = 1e-2

# Sequences of one batch, of one micro-batch, and the longest, in tokens.
NUM_SEQUENCES = 32
MICRO_SEQUENCES = 8
MAX_LENGTH = 64

# A mistake loses if it costs more than the first, and is small if it costs
# less than the second, in percentage points. The first was set beforehand,
# the second after a pilot, to leave room for intervals of ten seeds.
MARGIN_POINTS = 1.0
SMALL_POINTS = 5.0
# Adam hardly notices a change that moves its weights less than this, and an
# error of the gradient above the second counts. Both set after a pilot.
HARDLY = 0.05
WRONG = 0.03
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 3000
TIMED_REPEATS = 2 if SHORT else 10
# Batches in one timing: as many as the micro-batch size over this, or one.
TIMED_SHARE = 8

# %% [markdown]
# ## Device

# %%
backend = keras.backend.backend()
# Float32 in full on a GPU too.
if backend == "tensorflow":
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    tf.config.experimental.enable_tensor_float_32_execution(False)
elif backend == "torch":
    import torch

    on_gpu = torch.cuda.is_available()
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
else:
    raise ValueError(f"this program has no path for the {backend} backend")

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


def build_model(seed, shape=(NUM_FEATURES,), precision="float32"):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(shape, dtype=precision),
            keras.layers.Dense(
                HIDDEN_UNITS, activation="relu", dtype=precision
            ),
            keras.layers.Dense(NUM_CLASSES, dtype=precision),
        ]
    )


def loss_of_each(labels, outputs):
    return keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=True
    )


token_losses = loss_of_each


def build_optimizer(kind, rate, epsilon=EPSILON):
    if kind == "sgd":
        return keras.optimizers.SGD(rate, momentum=MOMENTUM)
    return keras.optimizers.Adam(rate, epsilon=epsilon)


def ordinary_model(number, kind, precision):
    """(model, optimizer) of one seed."""
    model = build_model(seeds[number], precision=precision)
    return model, build_optimizer(kind, 0.01)


def token_model(number):
    """The same model for sequences."""
    model = build_model(seeds[number], (None, NUM_FEATURES), "float64")
    return model, keras.optimizers.SGD(1.0)


def flat_weights(model):
    flat = [weight.ravel() for weight in model.get_weights()]
    return np.concatenate(flat).astype("float64")


# %% [markdown]
# ## Accumulate by hand
#
# All seeds at once: their weights and examples are stacked, and no seed's
# gradient depends on another's. `accumulate` adds to the gradients, `update`
# uses them, `reset` forgets them.


# %%
def forward(parameters, x):
    kernel, bias, last_kernel, last_bias = parameters
    hidden = ops.relu(ops.matmul(x, kernel) + bias)
    return ops.matmul(hidden, last_kernel) + last_bias


def share_of_loss(parameters, x, y, share):
    losses = loss_of_each(y, forward(parameters, x))
    # A sum over seeds, each of which has its own weights.
    return ops.sum(losses) / y.shape[1] * share


def add_gradient(gradients, parameters, x, y, share):
    if backend == "tensorflow":
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            loss = share_of_loss(parameters, x, y, share)
        new = tape.gradient(loss, parameters)
    else:
        loss = share_of_loss(parameters, x, y, share)
        new = torch.autograd.grad(loss, parameters)
    return [each + more for each, more in zip(gradients, new)]


def apply_gradients(optimizer, gradients, parameters):
    if backend == "torch":
        with torch.no_grad():
            optimizer.apply(gradients, parameters)
    else:
        optimizer.apply(gradients, parameters)


def compiled(function):
    """With TensorFlow, once for each precision and size of micro-batch."""
    if backend == "tensorflow":
        return tf.function(function, autograph=False)
    return function


add_gradient = compiled(add_gradient)
initial_weights = [build_model(seed).get_weights() for seed in seeds]


class Training:
    """Stacked networks of all seeds with their gradients and optimizer."""

    def __init__(self, kind, rate, precision, epsilon=EPSILON):
        self.parameters = []
        for arrays in zip(*initial_weights):
            stacked = np.stack(arrays).astype(precision)
            if stacked.ndim == 2:
                stacked = stacked[:, None]
            self.parameters.append(keras.Variable(stacked, dtype=precision))
        self.precision = precision
        self.optimizer = build_optimizer(kind, rate, epsilon)
        self.optimizer.build(self.parameters)
        self.apply = compiled(
            lambda gradients: apply_gradients(
                self.optimizer, gradients, self.parameters
            )
        )
        self.reset()

    def accumulate(self, part, share):
        """Add the gradient of the mean loss of a micro-batch, times share."""
        rows = np.arange(NUM_SEEDS)[:, None]
        self.gradients = add_gradient(
            self.gradients,
            [each.value for each in self.parameters],
            ops.convert_to_tensor(x_train[rows, part].astype(self.precision)),
            ops.convert_to_tensor(y_train[rows, part]),
            ops.convert_to_tensor(share, self.precision),
        )

    def update(self):
        self.apply(self.gradients)

    def reset(self):
        self.gradients = [ops.zeros_like(each) for each in self.parameters]

    def gradient(self):
        return seed_rows(self.gradients)

    def weights(self):
        return seed_rows(self.parameters)

    def accuracy(self, x, y):
        x = ops.convert_to_tensor(x.astype(self.precision))
        outputs = forward(self.parameters, x)
        chosen = ops.convert_to_numpy(ops.argmax(outputs, axis=2))
        return (chosen == y).mean(axis=1)


def seed_rows(parameters):
    """[seeds, weights]: the arrays of all layers, side by side."""
    arrays = [ops.convert_to_numpy(each) for each in parameters]
    rows = [each.reshape(NUM_SEEDS, -1) for each in arrays]
    return np.concatenate(rows, axis=1).astype("float64")


def relative(difference, whole):
    """Length of the difference over that of the whole, for each seed."""
    lengths = np.linalg.norm(difference, axis=1)
    return lengths / np.linalg.norm(whole, axis=1)


# %% [markdown]
# ## Compare gradients
#
# The gradient of one batch at once, and accumulated over its micro-batches.


# %%
def first_examples(num_examples, micro_batch_size):
    """Micro-batches of the first examples: [seeds, micro-batch size] each."""
    order = np.tile(np.arange(num_examples), (NUM_SEEDS, 1))
    cuts = range(micro_batch_size, num_examples, micro_batch_size)
    return np.split(order, cuts, axis=1)


def gradient(group, shares, precision):
    training = Training("sgd", 1.0, precision)
    for part, share in zip(group, shares):
        training.accumulate(part, share)
    return training.gradient()


gradient_errors = {}
for precision in PRECISIONS:
    whole = gradient(first_examples(BATCH_SIZE, BATCH_SIZE), [1.0], precision)
    for size in MICRO_BATCH_SIZES:
        group = first_examples(BATCH_SIZE, size)
        shares = [size / BATCH_SIZE] * len(group)
        difference = gradient(group, shares, precision) - whole
        gradient_errors[precision, size] = relative(difference, whole)

# %% [markdown]
# ## Compare weights after several updates
#
# With the function that the page gives, on one ordinary model for each seed.
# The micro-batches are unequal.


# %%
def weights_after(number, kind, precision, micro_batch_size):
    """(weights at the end, how far they moved) of the model of one seed."""
    model, optimizer = ordinary_model(number, kind, precision)
    before = flat_weights(model)
    for update in range(EQUAL_UPDATES):
        part = slice(update * BATCH_SIZE, (update + 1) * BATCH_SIZE)
        accumulate_gradients_keras(
            model,
            loss_of_each,
            optimizer,
            x_train[number, part].astype(precision),
            y_train[number, part],
            micro_batch_size,
        )
    after = flat_weights(model)
    return after, after - before


weight_errors = {}
for precision in PRECISIONS:
    for kind in OPTIMIZERS:
        found = []
        for number in range(NUM_SEEDS):
            whole, moved = weights_after(number, kind, precision, BATCH_SIZE)
            parted, _ = weights_after(
                number, kind, precision, UNEQUAL_MICRO_BATCH_SIZE
            )
            found.append(np.linalg.norm(parted - whole) / np.linalg.norm(moved))
        weight_errors[precision, kind] = np.array(found)
print({key: found.max() for key, found in weight_errors.items()})

# %% [markdown]
# ## Count what is saved for the backward pass
#
# Bytes of one forward pass that the backward pass needs and that depend on
# the batch, without the weights.


# %%
def saved_in_graph(model, micro_batch_size):
    kept = {}

    @tf.function(autograph=False)
    def gradients(x, y):
        loss = ops.mean(loss_of_each(y, model(x, training=True)))
        graph = tf.compat.v1.get_default_graph()
        forward_part = set(graph.get_operations())
        found = tf.gradients(loss, [v.value for v in model.trainable_variables])
        # What the backward pass reads of the forward pass.
        for operation in graph.get_operations():
            if operation in forward_part:
                continue
            for tensor in operation.inputs:
                if tensor.op.type == "ReadVariableOp":
                    continue
                if tensor.op in forward_part and tensor.shape.rank:
                    count = tensor.shape.num_elements()
                    kept[tensor.name] = count * tensor.dtype.size
        return found

    gradients.get_concrete_function(
        tf.TensorSpec([micro_batch_size, NUM_FEATURES], tf.float32),
        tf.TensorSpec([micro_batch_size], tf.int32),
    )
    return sum(kept.values())


def saved_by_hooks(model, micro_batch_size):
    weights = {each.value.data_ptr() for each in model.trainable_variables}
    kept = {}

    def keep(tensor):
        # One tensor may be saved by several operations.
        if tensor.data_ptr() not in weights and tensor.ndim:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    x = ops.convert_to_tensor(x_train[0, :micro_batch_size])
    y = ops.convert_to_tensor(y_train[0, :micro_batch_size])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        # Held until counted, so that no address is used twice.
        loss = ops.mean(loss_of_each(y, model(x, training=True)))
    del loss
    return sum(kept.values())


def saved_bytes(micro_batch_size):
    model = build_model(FIRST_SEED)
    if backend == "tensorflow":
        return saved_in_graph(model, micro_batch_size)
    return saved_by_hooks(model, micro_batch_size)


saved = {size: saved_bytes(size) for size in [BATCH_SIZE, *MICRO_BATCH_SIZES]}
print("bytes saved:", saved)

# %% [markdown]
# ## Make the mistakes
#
# One loop, in which each mistake changes one thing.


# %%
def share_of(mistake, size, sizes):
    """What the mean loss of a micro-batch is multiplied by."""
    if mistake == "mean_of_means":
        return 1 / len(sizes)
    if mistake in ("wrong_divisor", "carried_group"):
        # As if no group were short, and no micro-batch.
        return 1 / ACCUMULATION_STEPS
    if mistake == "no_division":
        return 1.0
    return size / sum(sizes)


def groups_of(order):
    """The micro-batches of an epoch, in groups of one update."""
    cuts = range(MICRO_BATCH_SIZE, NUM_TRAIN, MICRO_BATCH_SIZE)
    every = np.split(order, cuts, axis=1)
    return [
        every[start : start + ACCUMULATION_STEPS]
        for start in range(0, len(every), ACCUMULATION_STEPS)
    ]


def train(kind, rate, mistake, precision="float32", epsilon=EPSILON):
    training = Training(kind, rate, precision, epsilon)
    random = np.random.default_rng(FIRST_SEED)
    in_order = np.tile(np.arange(NUM_TRAIN), (NUM_SEEDS, 1))
    for _ in range(NUM_EPOCHS):
        for group in groups_of(random.permuted(in_order, axis=1)):
            short = len(group) < ACCUMULATION_STEPS
            if short and mistake == "dropped_group":
                continue
            sizes = [part.shape[1] for part in group]
            for part, size in zip(group, sizes):
                training.accumulate(part, share_of(mistake, size, sizes))
            if short and mistake == "carried_group":
                continue
            training.update()
            if mistake != "no_reset":
                training.reset()
    return training


def test_points(training):
    """Test accuracy in percent, for each seed."""
    return 100 * training.accuracy(x_test, y_test)


rates, validation, points = {}, {}, {}
for kind in OPTIMIZERS:
    runs = [train(kind, 3.0**power, "none") for power in RATE_POWERS[kind]]
    validation[kind] = np.array(
        [run.accuracy(x_validation, y_validation) for run in runs]
    )
    best = validation[kind].mean(axis=1).argmax()
    rates[kind] = 3.0 ** RATE_POWERS[kind][best]
    points["none", kind] = test_points(runs[best])
    for mistake in MISTAKES:
        run = train(kind, rates[kind], mistake)
        points[mistake, kind] = test_points(run)
        print(kind, mistake, points[mistake, kind].mean().round(1))

# %% [markdown]
# ## The size of an error
#
# Of the gradient of the short group, before any training; and of the weights
# after training without the division, against what it is said to equal.

# %%
last_group = [
    part + NUM_TRAIN - NUM_TRAIN % BATCH_SIZE
    for part in first_examples(NUM_TRAIN % BATCH_SIZE, MICRO_BATCH_SIZE)
]
last_sizes = [part.shape[1] for part in last_group]


def gradient_of_last(mistake):
    shares = [share_of(mistake, size, last_sizes) for size in last_sizes]
    return gradient(last_group, shares, "float64")


right = gradient_of_last("none")
group_errors = {
    mistake: relative(gradient_of_last(mistake) - right, right)
    for mistake in ("mean_of_means", "wrong_divisor")
}
full_group = first_examples(BATCH_SIZE, MICRO_BATCH_SIZE)
ones = np.ones(ACCUMULATION_STEPS)
undivided_length = relative(
    gradient(full_group, ones, "float64"),
    gradient(full_group, ones / ACCUMULATION_STEPS, "float64"),
)

start = Training("sgd", 1.0, "float64").weights()


def apart(left, right):
    """Distance of two runs, over how far the second one moved."""
    return relative(left.weights() - right.weights(), right.weights() - start)


# Without the short group, every sum is ACCUMULATION_STEPS times its mean.
def run_whole(kind, rate, division, epsilon=EPSILON):
    training = Training(kind, rate, "float64", epsilon)
    share = 1 / ACCUMULATION_STEPS if division else 1.0
    for update in range(2 if SHORT else 8):
        for part in first_examples(BATCH_SIZE, MICRO_BATCH_SIZE):
            training.accumulate(part + update * BATCH_SIZE, share)
        training.update()
        training.reset()
    return training


small_rate = rates["sgd"] / ACCUMULATION_STEPS
undivided = {
    "sgd_is_a_larger_rate": apart(
        run_whole("sgd", small_rate, False),
        run_whole("sgd", rates["sgd"], True),
    ),
    "sgd": apart(
        run_whole("sgd", small_rate, False),
        run_whole("sgd", small_rate, True),
    ),
    "adam": apart(
        run_whole("adam", rates["adam"], False),
        run_whole("adam", rates["adam"], True),
    ),
    "adam_is_a_smaller_epsilon": apart(
        run_whole(
            "adam", rates["adam"], False, LARGE_EPSILON * ACCUMULATION_STEPS
        ),
        run_whole("adam", rates["adam"], True, LARGE_EPSILON),
    ),
    "adam_with_large_epsilon": apart(
        run_whole("adam", rates["adam"], False, LARGE_EPSILON),
        run_whole("adam", rates["adam"], True, LARGE_EPSILON),
    ),
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


def token_gradient(number, batch, weights, micro_batch_size):
    """The gradient, read off an update with a learning rate of one."""
    model, optimizer = token_model(number)
    before = flat_weights(model)
    x, y, _ = batch
    accumulate_gradients_keras(
        model, token_losses, optimizer, x, y, micro_batch_size, weights
    )
    return before - flat_weights(model)


token_errors, token_weights = {}, {}
for order in ("mixed", "by_length"):
    found = {"token_mean": [], "mean_of_means": [], "largest": []}
    for number in range(NUM_SEEDS):
        batch = token_batch(number, order == "by_length")
        mask = batch[2]
        counts = mask.reshape(-1, MICRO_SEQUENCES * MAX_LENGTH).sum(axis=1)
        # A token counts less the more there are in its micro-batch.
        of_means = mask / np.repeat(counts, MICRO_SEQUENCES)[:, None]
        whole = token_gradient(number, batch, mask, NUM_SEQUENCES)
        ways = {"token_mean": mask, "mean_of_means": of_means}
        for name, weights in ways.items():
            parted = token_gradient(number, batch, weights, MICRO_SEQUENCES)
            error = np.linalg.norm(parted - whole) / np.linalg.norm(whole)
            found[name].append(error)
        # How often a token of the micro-batch with the fewest is counted.
        found["largest"].append(counts.mean() / counts.min())
    token_weights[order] = np.array(found.pop("largest"))
    token_errors |= {(name, order): np.array(e) for name, e in found.items()}
print({key: errors.mean() for key, errors in token_errors.items()})

# %% [markdown]
# ## Time it
#
# A plain loop over one batch in micro-batches, with an update at its end; and
# the same with an update after each micro-batch. Processor time of one
# thread, and on a GPU the time that passes; sizes take turns, and the first
# round is discarded.


# %%
class PlainTraining:
    """The loop that a reader would write."""

    def __init__(self, how):
        self.every = how == "update"
        self.models = {}
        self.x, self.y = x_train[0], y_train[0]

    def model_for(self, micro_batch_size):
        """The number of passes is a setting of the optimizer."""
        if micro_batch_size not in self.models:
            steps = 1 if self.every else BATCH_SIZE // micro_batch_size
            model = build_model(FIRST_SEED)
            model.compile(
                optimizer=keras.optimizers.SGD(
                    0.01,
                    momentum=MOMENTUM,
                    gradient_accumulation_steps=steps if steps > 1 else None,
                ),
                loss=keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True
                ),
            )
            self.models[micro_batch_size] = model
        return self.models[micro_batch_size]

    def one_batch(self, micro_batch_size):
        model = self.model_for(micro_batch_size)
        for start in range(0, BATCH_SIZE, micro_batch_size):
            part = slice(start, start + micro_batch_size)
            model.train_on_batch(self.x[part], self.y[part])


plain = {how: PlainTraining(how) for how in ("accumulate", "update")}


def now(model):
    if on_gpu:
        # A GPU is done when a weight is there.
        ops.convert_to_numpy(model.trainable_variables[0])
        return time.perf_counter()
    return time.process_time()


def timed(how, micro_batch_size):
    """Seconds for one batch."""
    batches = max(1, micro_batch_size // TIMED_SHARE)
    training = plain[how]
    model = training.model_for(micro_batch_size)
    begin = now(model)
    for _ in range(batches):
        training.one_batch(micro_batch_size)
    return (now(model) - begin) / batches


seconds = {}
for _ in range(TIMED_REPEATS + 1):
    for size in [BATCH_SIZE, *MICRO_BATCH_SIZES]:
        for how in plain if size != BATCH_SIZE else ["accumulate"]:
            seconds.setdefault((how, size), []).append(timed(how, size))
seconds = {key: np.array(found[1:]) for key, found in seconds.items()}

# %% [markdown]
# ## What the framework's own way does
#
# `gradient_accumulation_steps` of the optimizer, with plain `fit` and
# `train_on_batch`.


# %%
in_one_row = np.arange(NUM_TRAIN)[None]


class Count(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose rate is the count that it is given."""

    def __call__(self, step):
        return ops.cast(step, "float32")


def own_accumulation():
    """{name: (value, unit)} of what gradient_accumulation_steps does."""
    x, y = x_train[0], y_train[0]

    def new_model(steps, rate=1.0):
        model = build_model(FIRST_SEED)
        model.compile(
            keras.optimizers.SGD(rate, gradient_accumulation_steps=steps),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    def gradient_of(part):
        """Read off an update with a learning rate of one."""
        model = new_model(None)
        before = flat_weights(model)
        model.train_on_batch(x[part], y[part])
        return before - flat_weights(model)

    (parts,) = [
        [part[0] for part in np.split(in_one_row, cuts, axis=1)]
        for cuts in [range(MICRO_BATCH_SIZE, NUM_TRAIN, MICRO_BATCH_SIZE)]
    ]
    found = {}
    # Before a group is complete, and what four passes add up to.
    model = new_model(ACCUMULATION_STEPS)
    before = flat_weights(model)
    for part in parts[: ACCUMULATION_STEPS - 1]:
        model.train_on_batch(x[part], y[part])
    moved = np.abs(flat_weights(model) - before).max()
    found["moved_early"] = (float(moved), "weight")
    last = parts[ACCUMULATION_STEPS - 1]
    model.train_on_batch(x[last], y[last])
    added = before - flat_weights(model)
    whole = gradient_of(np.concatenate(parts[:ACCUMULATION_STEPS]))
    ratio = np.linalg.norm(added) / np.linalg.norm(whole)
    # In float32, so only the first digits are not rounding.
    found["gradient_over_mean"] = (round(float(ratio), 3), "ratio")

    def optimizer_bytes(steps):
        """Of its variables that are arrays; counters are not."""
        optimizer = new_model(steps).optimizer
        optimizer.build(model.trainable_variables)
        every = [each.numpy() for each in optimizer.variables]
        return sum(each.nbytes for each in every if each.ndim)

    found["weight_bytes"] = (
        sum(each.nbytes for each in model.get_weights()),
        "bytes",
    )
    kept = optimizer_bytes(ACCUMULATION_STEPS) - optimizer_bytes(None)
    found["accumulator_bytes"] = (kept, "bytes")

    # The two unequal micro-batches at the end, as one group.
    model = new_model(2)
    for part in parts[-2:]:
        model.train_on_batch(x[part], y[part])
    halves = before - flat_weights(model)
    whole = gradient_of(np.concatenate(parts[-2:]))
    means = [gradient_of(part) for part in parts[-2:]]
    limit = ROUNDING["float32"] * np.linalg.norm(whole)
    equal = np.linalg.norm(halves - (means[0] + means[1]) / 2) < limit
    found["equals_mean_of_means"] = (int(equal), "cases")
    equal = np.linalg.norm(halves - whole) < limit
    found["equals_batch"] = (int(equal), "cases")

    # An epoch of fit, and the first update of the next one.
    model = new_model(ACCUMULATION_STEPS, 0.01)
    model.fit(x, y, MICRO_BATCH_SIZE, shuffle=False, verbose=0)
    updates = int(model.optimizer.iterations)
    found["updates"] = (updates, "updates")
    found["passes"] = (len(parts), "passes")
    after, more = flat_weights(model), 0
    while np.array_equal(flat_weights(model), after):
        model.train_on_batch(x[parts[more]], y[parts[more]])
        more += 1
    waiting = ACCUMULATION_STEPS - more
    found["passes_in_next_update"] = (waiting + more, "passes")
    left_over = sum(len(part) for part in parts[len(parts) - waiting :])
    found["examples_left_over"] = (left_over, "examples")
    model = new_model(ACCUMULATION_STEPS, Count())
    model.fit(x, y, MICRO_BATCH_SIZE, shuffle=False, verbose=0)
    count = int(model.optimizer.learning_rate)
    found["schedule_count"] = (count, "steps")
    return found


own = own_accumulation()
print(own)

# %% [markdown]
# ## Measure
#
# Relative differences have a geometric mean. Differences in accuracy are
# paired by seed, which has its own data.

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


def put_count(key, errors, precision):
    """Store how many seeds differ by more than rounding."""
    differ = int((errors > ROUNDING[precision]).sum())
    put_exact(key, differ, "seeds")


def low(key):
    return values[key]["ci"][0]


def high(key):
    return values[key]["ci"][1]


for (precision, size), errors in gradient_errors.items():
    put_count(f"gradient_differs.{precision}.{size}", errors, precision)
    if precision == "float32":
        key = f"gradient_error.{precision}.{size}"
        put(key, 1e6 * errors, "parts per million", ratio=True)
for (precision, kind), errors in weight_errors.items():
    put_count(f"weights_differ.{precision}.{kind}", errors, precision)
    if precision == "float32":
        key = f"weights_error.{precision}.{kind}"
        put(key, 1e6 * errors, "parts per million", ratio=True)

for size, count in saved.items():
    put_exact(f"saved_bytes.{size}", count, "bytes")
    put_exact(f"saved_share.{size}", count / saved[BATCH_SIZE], "share")
for size in MICRO_BATCH_SIZES:
    slower = seconds["accumulate", size] / seconds["accumulate", BATCH_SIZE]
    put(f"example_time.{size}", slower, "ratio", ratio=True, timing=True)
    over = seconds["accumulate", size] / seconds["update", size]
    put(f"time_over_updating.{size}", over, "ratio", ratio=True, timing=True)

for (mistake, kind), reached in points.items():
    put(f"accuracy.{kind}.{mistake}", reached, "percent")
    if mistake != "none":
        lost = points["none", kind] - reached
        put(f"lost.{kind}.{mistake}", lost, POINTS)
for kind in OPTIMIZERS:
    put_exact(f"rate.{kind}", rates[kind], "rate")
    edge = rates[kind] in (
        3.0 ** RATE_POWERS[kind][0],
        3.0 ** RATE_POWERS[kind][-1],
    )
    put_exact(f"rates_on_the_edge.{kind}", int(edge), "rates")
for mistake, errors in group_errors.items():
    put(f"group_error.{mistake}", errors, "ratio", ratio=True)
put("undivided_length", undivided_length, "ratio", ratio=True)
for name, errors in undivided.items():
    put_count(f"undivided_differs.{name}", errors, "float64")
    if "_is_" not in name:
        put(f"undivided.{name}", errors, "ratio", ratio=True)
for (name, order), errors in token_errors.items():
    put_count(f"tokens_differ.{name}.{order}", errors, "float64")
    if name != "token_mean":
        put(f"token_error.{order}", errors, "ratio", ratio=True)
for order, counted in token_weights.items():
    put(f"token_weight.{order}", counted, "ratio", ratio=True)

for name, (value, unit) in own.items():
    put_exact(f"own.{name}", value, unit)
put_exact(
    f"updates_per_epoch.{BATCH_SIZE}", len(groups_of(in_one_row)), "updates"
)
put_exact("last_group.examples", sum(last_sizes), "examples")
put_exact("last_group.passes", len(last_sizes), "passes")
for key, entry in values.items():
    interval = [f"{end:.3g}" for end in entry.get("ci", [])]
    print(f"{key:44}{entry['value']:10.4g}", *interval)

# %% [markdown]
# ## Judge
#
# A judgement holds when every seed, or the whole interval, is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def judge_all(key, *names):
    """Nothing was counted: no seed differs by more than rounding."""
    judge(key, all(values[name]["value"] == 0 for name in names), *names)


for precision in PRECISIONS:
    name = f"gradient_differs.{precision}"
    names = [f"{name}.{size}" for size in MICRO_BATCH_SIZES]
    judge_all(f"gradient_is_equal.{precision}", *names)
    names = [f"weights_differ.{precision}.{kind}" for kind in OPTIMIZERS]
    judge_all(f"weights_are_equal.{precision}", *names)
judge_all(
    "sgd_undivided_is_a_larger_rate",
    "undivided_differs.sgd_is_a_larger_rate",
)
judge_all(
    "adam_undivided_is_a_smaller_epsilon",
    "undivided_differs.adam_is_a_smaller_epsilon",
)
judge(
    "adam_hardly_notices",
    high("undivided.adam") < HARDLY,
    "undivided.adam",
)
judge_all(
    "tokens_are_repaired",
    "tokens_differ.token_mean.mixed",
    "tokens_differ.token_mean.by_length",
)
judge("tokens_go_wrong", low("token_error.mixed") > WRONG, "token_error.mixed")
judge(
    "order_by_length_is_worse",
    low("token_error.by_length") > 1.5 * high("token_error.mixed"),
    "token_error.by_length",
    "token_error.mixed",
)
for key in ("sgd.no_division", "sgd.no_reset", "adam.no_reset"):
    judge(f"loses.{key}", low(f"lost.{key}") > MARGIN_POINTS, f"lost.{key}")
small = [f"lost.{kind}.{name}" for kind in OPTIMIZERS for name in MISTAKES[:4]]
small.append("lost.adam.no_division")
judge(
    "others_stay_small",
    all(high(key) < SMALL_POINTS for key in small),
    *small,
)
judge(
    "memory_follows_the_micro_batch",
    values[f"saved_share.{MICRO_BATCH_SIZE}"]["value"] < 0.26,
    f"saved_share.{MICRO_BATCH_SIZE}",
)
judge(
    "accumulator_is_as_large_as_the_weights",
    own["accumulator_bytes"][0] == own["weight_bytes"][0],
    "own.accumulator_bytes",
    "own.weight_bytes",
)
judge("one_by_one_is_slow", low("example_time.1") > 4, "example_time.1")
judge_all(
    "rates_lie_inside_their_grids",
    *[f"rates_on_the_edge.{kind}" for kind in OPTIMIZERS],
)
judge(
    "own_averages",
    own["gradient_over_mean"][0] == 1,
    "own.gradient_over_mean",
)
judge("own_waits", own["moved_early"][0] == 0, "own.moved_early")
judge(
    "own_carries_the_last_group",
    own["examples_left_over"][0] > 0,
    "own.examples_left_over",
)
judge(
    "own_next_group_is_too_large",
    own["passes_in_next_update"][0] > ACCUMULATION_STEPS,
    "own.passes_in_next_update",
)
judge(
    "own_schedule_counts_passes",
    own["schedule_count"][0] > own["updates"][0],
    "own.schedule_count",
    "own.updates",
)
judge(
    "own_is_mean_of_means",
    own["equals_mean_of_means"][0] and not own["equals_batch"][0],
    "own.equals_mean_of_means",
    "own.equals_batch",
)
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
        "unit": entries[0]["unit"],
    }
    if "ci" in entries[0]:
        series[name]["low"] = [entry["ci"][0] for entry in entries]
        series[name]["high"] = [entry["ci"][1] for entry in entries]


sizes = sorted(MICRO_BATCH_SIZES)
for name in ("example_time", "time_over_updating", "saved_share"):
    put_series(name, sizes, [f"{name}.{size}" for size in sizes])
numbers = list(range(1, len(MISTAKES) + 1))
for kind in OPTIMIZERS:
    keys = [f"lost.{kind}.{mistake}" for mistake in MISTAKES]
    put_series(f"lost.{kind}", numbers, keys)

results = {"values": values, "judgements": judgements, "series": series}
