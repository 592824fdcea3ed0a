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
from keras import ops

from gradient_accumulation_findings import gradient_accumulation_findings
from gradient_accumulation_problem import *
from snippets.accumulate_gradients_keras import accumulate_gradients_keras
from snippets.estimate_memory_keras import estimate_memory_keras

# %% [markdown]
# ## Device
#
# The device is found.

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
# ## Network


# %%
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


def build_optimizer(kind, rate, epsilon=EPSILON):
    if kind == "sgd":
        return keras.optimizers.SGD(rate, momentum=MOMENTUM)
    return keras.optimizers.Adam(rate, epsilon=epsilon)


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


def compiled(function):
    """With TensorFlow, once for each precision and size of micro-batch."""
    if backend == "tensorflow":
        return tf.function(function, autograph=False)
    return function


@compiled
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

    def accumulate(self, group, shares):
        """Add the gradients of the micro-batches' mean losses, times shares."""
        rows = np.arange(NUM_SEEDS)[:, None]
        for part, share in zip(group, shares):
            x = x_train[rows, part].astype(self.precision)
            self.gradients = add_gradient(
                self.gradients,
                [each.value for each in self.parameters],
                ops.convert_to_tensor(x),
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


gradients = compare_gradients(Training)
# After training; a forgotten division after a few updates as well.
powers, points = make_mistakes(Training)
undivided = forget_division(Training, powers)

# %% [markdown]
# ## Accumulate with the function of the page
#
# One ordinary model of one seed; and the same for sequences.


# %%
def flat_weights(model):
    flat = [weight.ravel() for weight in model.get_weights()]
    return np.concatenate(flat).astype("float64")


class OneModel:
    def __init__(self, number, kind, rate, precision, shape=(NUM_FEATURES,)):
        self.model = build_model(seeds[number], shape, precision)
        self.optimizer = build_optimizer(kind, rate)

    def update(self, *batch):
        accumulate_gradients_keras(
            self.model, loss_of_each, self.optimizer, *batch
        )

    def weights(self):
        return flat_weights(self.model)


def sequence_model(number):
    return OneModel(number, "sgd", 1.0, "float64", (None, NUM_FEATURES))


weights = compare_weights(OneModel)
tokens = compare_tokens(sequence_model)

# %% [markdown]
# ## Count what is saved for the backward pass
#
# Bytes of one forward pass that the backward pass needs, without the weights,
# in the graph that TensorFlow makes.

# %%
saved = {}
if backend == "tensorflow":
    for size in [BATCH_SIZE, *MICRO_BATCH_SIZES]:
        # Of two examples at least, of which it then takes half.
        first = slice(max(2, size))
        found = estimate_memory_keras(
            build_model(FIRST_SEED),
            loss_of_each,
            x_train[0, first],
            y_train[0, first],
        )
        saved[size] = found["activations"] + size * found["per_example"]
print("bytes saved:", saved)

# %% [markdown]
# ## Time it
#
# `train_on_batch` on one batch in micro-batches, with an update at its end;
# and the same with an update after each micro-batch. Processor time of one
# thread, and on a GPU the time that passes. The number of passes is a setting
# of the optimizer.


# %%
def compiled_model(optimizer):
    model = build_model(FIRST_SEED)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    return model


plain = {}


def plain_model(*case):
    if case not in plain:
        how, micro_batch_size = case
        passes = 1 if how == "update" else BATCH_SIZE // micro_batch_size
        optimizer = keras.optimizers.SGD(
            0.01,
            momentum=MOMENTUM,
            gradient_accumulation_steps=passes if passes > 1 else None,
        )
        plain[case] = compiled_model(optimizer)
    return plain[case]


def now(model):
    if on_gpu:
        # A GPU is done when a weight is there.
        ops.convert_to_numpy(model.trainable_variables[0])
        return time.perf_counter()
    return time.process_time()


def timed(how, micro_batch_size, batches):
    model = plain_model(how, micro_batch_size)
    x, y = x_train[0], y_train[0]
    begin = now(model)
    for _ in range(batches):
        for start in range(0, BATCH_SIZE, micro_batch_size):
            part = slice(start, start + micro_batch_size)
            model.train_on_batch(x[part], y[part])
    return now(model) - begin


seconds = take_turns(timed)

# %% [markdown]
# ## What the framework's own way does
#
# `gradient_accumulation_steps` of the optimizer, with plain `fit` and
# `train_on_batch`. First, before a group is complete: which weights move, and
# what four passes add up to. Then the two unequal micro-batches at the end, as
# one group.

# %%
parts = [part[0] for part in first_examples(NUM_TRAIN, MICRO_BATCH_SIZE)]
group = parts[:ACCUMULATION_STEPS]


def own_model(passes, rate=1.0):
    return compiled_model(
        keras.optimizers.SGD(rate, gradient_accumulation_steps=passes)
    )


def train_on(model, part):
    model.train_on_batch(x_train[0, part], y_train[0, part])


def change_of(parts, passes):
    """The gradient, read off an update with a learning rate of one."""
    model = own_model(passes)
    before = flat_weights(model)
    for part in parts:
        train_on(model, part)
    return before - flat_weights(model)


def optimizer_bytes(passes):
    """Of its variables that are arrays; counters are not."""
    model = own_model(passes)
    model.optimizer.build(model.trainable_variables)
    every = map(ops.convert_to_numpy, model.optimizer.variables)
    return sum(each.nbytes for each in every if each.ndim)


early = change_of(group[:-1], ACCUMULATION_STEPS)
added = change_of(group, ACCUMULATION_STEPS)
whole = change_of([np.concatenate(group)], None)
own = {
    "moved_early": np.abs(early).max(),
    "gradient_over_mean": np.linalg.norm(added) / np.linalg.norm(whole),
    "weight_bytes": sum(
        each.nbytes for each in build_model(FIRST_SEED).get_weights()
    ),
    "accumulator_bytes": (
        optimizer_bytes(ACCUMULATION_STEPS) - optimizer_bytes(None)
    ),
}

unequal = parts[-2:]
halves = change_of(unequal, len(unequal))
whole = change_of([np.concatenate(unequal)], None)
means = [change_of([part], None) for part in unequal]
own["from_batch"] = relative(halves - whole, whole)
own["from_mean_of_means"] = relative(halves - sum(means) / 2, whole)

# %% [markdown]
# An epoch of `fit`, and the first update of the next one; and what a schedule
# is told meanwhile.


# %%
class Count(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose rate is the count that it is given."""

    def __call__(self, step):
        return ops.cast(step, "float32")


def after_an_epoch(rate):
    model = own_model(ACCUMULATION_STEPS, rate)
    x, y = x_train[0], y_train[0]
    model.fit(x, y, MICRO_BATCH_SIZE, shuffle=False, verbose=0)
    return model


model = after_an_epoch(0.01)
own["passes"], own["updates"] = len(parts), int(model.optimizer.iterations)
after, more = flat_weights(model), 0
while np.array_equal(flat_weights(model), after):
    train_on(model, parts[more])
    more += 1
waiting = ACCUMULATION_STEPS - more
own["passes_in_next_update"] = waiting + more
own["examples_left_over"] = sum(map(len, parts[len(parts) - waiting :]))
own["schedule_count"] = int(after_an_epoch(Count()).optimizer.learning_rate)
print(own)

# %% [markdown]
# ## What was found

# %%
results = gradient_accumulation_findings(
    gradients, weights, tokens, undivided, powers, points, saved, seconds, own
)
