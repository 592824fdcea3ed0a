# %% [markdown]
# # Gradient noise (Keras)
#
# Takes the gradient of every single example at four stages of training, and
# asks how far the gradient of a mini-batch is from that of all examples.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1.2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras
from keras import ops

from gradient_noise_findings import gradient_noise_findings
from gradient_noise_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.compute_example_gradients_keras import (
    compute_example_gradients_keras,
)
from snippets.train_replicas_keras import train_replicas_keras

# %% [markdown]
# ## Train
#
# `train_replicas_keras` trains all seeds at once.


# %%
def train(name, updates):
    """The models of all seeds after so many updates."""
    seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)
    models = [build_mlp_keras(LAYERS[name], seed) for seed in seeds]
    if updates:
        x, y, *fresh = data[name]
        how = TRAINING_BATCH_SIZE, LEARNING_RATE, [updates]
        train_replicas_keras(models, x, y, *how, *fresh, seed=FIRST_SEED)
    return models


# %% [markdown]
# ## Gradients
#
# Of every example at once, and of one batch, which each backend takes in its
# own way.


# %%
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mean_loss(model, inputs, labels):
    return float(loss_function(labels, model(inputs)))


def batch_gradient(model, inputs, labels):
    """The gradient of the mean loss, a NumPy array [parameters]."""
    variables = model.trainable_variables
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_function(labels, model(inputs))
        gradients = tape.gradient(loss, variables)
    else:
        import torch

        loss = loss_function(labels, model(inputs))
        gradients = torch.autograd.grad(
            loss, [each.value for each in variables]
        )
    rows = [ops.convert_to_numpy(each).ravel() for each in gradients]
    return np.concatenate(rows).astype("float64")


def example_gradients(model, inputs, labels):
    """The gradient of each example, a NumPy array [N, parameters]."""
    return compute_example_gradients_keras(model, loss_function, inputs, labels)


measured = measure_all(train, mean_loss, example_gradients, batch_gradient)

# %% [markdown]
# ## What was found

# %%
results = gradient_noise_findings(measured)
