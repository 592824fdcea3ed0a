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

# One thread: networks this small are slower on many.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras
from keras import ops

from generalisation_findings import generalisation_findings
from generalisation_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.measure_sharpness_keras import measure_sharpness_keras
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Time the updates of plain `train_on_batch`
#
# The networks give logits; a softmax would change nothing else.

# %%
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build_model(seed):
    return build_mlp_keras(LAYERS, seed)


def prepare(x, y, batches):
    model = build_model(FIRST_SEED)
    optimizer = keras.optimizers.SGD(0.001, momentum=MOMENTUM)
    model.compile(optimizer=optimizer, loss=loss_of)

    def update():
        batch = next(batches)
        model.train_on_batch(x[batch], y[batch])

    return update


update_seconds = time_updates(prepare)

# %% [markdown]
# ## Train
#
# `train_rates_keras` trains all rates and replicates of a size at once.

# %%
runs = train_all(train_rates_keras, build_model, np.asarray, update_seconds)

# %% [markdown]
# ## Outputs, gradients and curvature of many networks at once
#
# The weights of a network are one row of a matrix. Networks do not mix in a
# sum, so each row of a gradient is that network's.

# %%
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


def total_loss(rows, x, y):
    each = keras.losses.sparse_categorical_crossentropy(
        y, forward(rows, x), from_logits=True
    )
    return ops.sum(ops.mean(each, axis=1))


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    matrix = tf.TensorSpec([None, sum(counts)], tf.float32)
    inputs = tf.TensorSpec([None, None, LAYERS[0]], tf.float32)
    labels = tf.TensorSpec([None, None], tf.int64)

    def compiled(*signature):
        return tf.function(input_signature=signature, autograph=False)

    @compiled(matrix, inputs, labels)
    def slopes(rows, x, y):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = total_loss(rows, x, y)
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
        total = total_loss(rows.requires_grad_(), x, y)
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

    def gradients(self, rows, x, y):
        return ops.convert_to_numpy(slopes(rows, x, y))

    def hessians_times(self, rows, directions, x, y):
        return ops.convert_to_numpy(products(rows, directions, x, y))


networks = Networks()
models = [build_model(seed) for seed in SEEDS[:SHARPNESS_SEEDS]]
initial = np.stack(
    [
        np.concatenate([each.ravel() for each in model.get_weights()])
        for model in models
    ]
)
level, others = measure_at_level(networks, initial)

# %% [markdown]
# ## The function for one model, which readers copy
#
# `measure_sharpness_keras` should find what is found for many at once.

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

# %% [markdown]
# ## What was found

# %%
results = generalisation_findings(update_seconds, runs, level, others, of_one)
