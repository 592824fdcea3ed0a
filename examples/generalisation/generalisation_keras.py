# %% [markdown]
# # Generalisation: what is left of it when the comparison is fair (Keras)
#
# Trains one network at four batch sizes under four budgets, and measures how
# sharp the solutions are that it finds.
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

import keras
from keras import ops

from generalisation_findings import generalisation_findings
from generalisation_problem import *
from snippets.measure_sharpness_keras import measure_sharpness_keras
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Network
#
# The loss takes logits; a softmax would change nothing else.

# %%
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


# %% [markdown]
# ## Time the updates of plain `train_on_batch`


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.model.compile(
            optimizer=keras.optimizers.SGD(0.001, momentum=MOMENTUM),
            loss=loss_of,
        )
        self.x, self.y = (part[0] for part in data["train"])
        self.random = np.random.default_rng(FIRST_SEED)
        self.batches = []

    def update(self):
        if not self.batches:
            order = self.random.permutation(NUM_TRAIN)
            cuts = range(self.batch_size, NUM_TRAIN, self.batch_size)
            self.batches = np.split(order, cuts)
        batch = self.batches.pop()
        self.model.train_on_batch(self.x[batch], self.y[batch])


plain = {batch_size: PlainTraining(batch_size) for batch_size in BATCH_SIZES}
update_seconds = take_turns(lambda batch_size: plain[batch_size].update())

# %% [markdown]
# ## Train
#
# `train_rates_keras` trains all rates and replicates of a size at once.


# %%
def train(batch_size, rates, looks):
    return train_rates_keras(
        [build_model(seed) for _ in rates for seed in SEEDS],
        np.repeat(rates, NUM_SEEDS).tolist(),
        *for_rates("train", len(rates)),
        [(looks[-1], batch_size, 1.0)],
        looks,
        {part: for_rates(part, len(rates)) for part in data},
        seed=FIRST_SEED + batch_size,
        momentum=MOMENTUM,
    )


runs = train_all(train, update_seconds)

# %% [markdown]
# ## Losses, gradients and curvature of many networks at once
#
# The weights of a network are one row of a matrix. Networks do not mix in a
# sum, so each row of a gradient is that network's.


# %%
def as_row(model):
    return np.concatenate([each.ravel() for each in model.get_weights()])


shapes = [tuple(weight.shape) for weight in build_model(0).weights]
counts = [int(np.prod(shape)) for shape in shapes]


def forward(rows, x):
    parts = ops.split(rows, np.cumsum(counts)[:-1].tolist(), axis=1)
    hidden = x
    for layer in range(0, len(parts), 2):
        if layer:
            hidden = ops.relu(hidden)
        kernel = ops.reshape(parts[layer], (-1, *shapes[layer]))
        hidden = ops.matmul(hidden, kernel) + parts[layer + 1][:, None, :]
    return hidden


def losses(rows, x, y):
    each = keras.losses.sparse_categorical_crossentropy(
        y, forward(rows, x), from_logits=True
    )
    return ops.mean(each, axis=1)


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    matrix = tf.TensorSpec([None, sum(counts)], tf.float32)
    inputs = tf.TensorSpec([None, None, NUM_FEATURES], tf.float32)
    labels = tf.TensorSpec([None, None], tf.int32)

    def compiled(*signature):
        return tf.function(input_signature=signature, autograph=False)

    @compiled(matrix, inputs, labels)
    def slopes(rows, x, y):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = ops.sum(losses(rows, x, y))
        return tape.gradient(total, rows)

    @compiled(matrix, matrix, inputs, labels)
    def products(rows, directions, x, y):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            along = ops.sum(slopes(rows, x, y) * directions)
        return tape.gradient(along, rows)

elif keras.backend.backend() == "torch":
    import torch

    def slopes(rows, x, y, create_graph=False):
        rows, x, y = map(torch.as_tensor, (rows, x, y))
        rows.requires_grad_()
        total = losses(rows, x, y).sum()
        return torch.autograd.grad(total, rows, create_graph=create_graph)[0]

    def products(rows, directions, x, y):
        rows = torch.tensor(rows)
        along = slopes(rows, x, y, True) * torch.from_numpy(directions)
        return torch.autograd.grad(along.sum(), rows)[0]

else:
    raise ValueError(f"no path for the {keras.backend.backend()} backend")


class Networks:
    def outputs(self, rows, x):
        rows, x = map(ops.convert_to_tensor, (rows, x))
        return ops.convert_to_numpy(forward(rows, x))

    def losses_and_hits(self, rows, x, y):
        found = losses(*map(ops.convert_to_tensor, (rows, x, y)))
        hits = self.outputs(rows, x).argmax(axis=-1) == y
        return ops.convert_to_numpy(found), hits.mean(axis=1)

    def gradients(self, rows, x, y):
        return ops.convert_to_numpy(slopes(rows, x, y))

    def hessians_times(self, rows, directions, x, y):
        return ops.convert_to_numpy(products(rows, directions, x, y))


networks = Networks()
models = [build_model(seed) for seed in SEEDS[:SHARPNESS_SEEDS]]
initial = np.stack([as_row(model) for model in models])
level, rescaling = measure_at_level(initial, networks)

# %% [markdown]
# ## The function for one model, which readers copy
#
# It should find what the one for many finds.

# %%
of_one = [
    measure_sharpness_keras(
        model,
        loss_of,
        *(part[number] for part in data["train"]),
        num_iterations=POWER_ITERATIONS,
    )
    for number, model in enumerate(models)
]
of_many = sharpness_of(
    initial, *for_rates("train", 1, SHARPNESS_SEEDS), networks
)

# %% [markdown]
# ## What was found

# %%
results = generalisation_findings(
    update_seconds, runs, level, rescaling, np.divide(of_one, of_many)
)
