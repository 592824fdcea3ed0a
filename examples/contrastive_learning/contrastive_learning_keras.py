# %% [markdown]
# # Contrastive learning: the batch is part of the loss (Keras)
#
# Trains a small encoder with in-batch negatives at five batch sizes and asks
# what the batch size changes: the loss, its gradient, the representation.
#
# - Install: `pip install keras tensorflow scikit-learn scipy`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"


import keras
import numpy as np
from keras import ops

from contrastive_learning_findings import contrastive_learning_findings
from contrastive_learning_problem import *
from snippets.contrast_views_keras import contrast_views_keras

# The gradients below are TensorFlow's; the mathematics is not.
if keras.backend.backend() != "tensorflow":
    raise ValueError("this program needs the tensorflow backend of Keras")
import tensorflow as tf

# %% [markdown]
# ## Encoder
#
# One hidden layer, and embeddings of a few dimensions.


# %%
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
# The plain loop, its update compiled. The first epoch is not timed.


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

seconds = take_turns(plain)

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


def loss_of(weights, first, second, group_size):
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


def weights_of(state):
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
# ## Train and compare
#
# From here on nothing knows that Keras trains.

# %%
encoders = Encoders(
    initial, embed, begin, weights_of, advance, loss_of, grouped_gradient
)
measured = measure_all(encoders)

# %% [markdown]
# ## What was found

# %%
results = contrastive_learning_findings(updates_per_epoch, seconds, **measured)
