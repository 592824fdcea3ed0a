# %% [markdown]
# # Three batch sizes on tabular data (Keras)
#
# Repeats a lesson's comparison of three batch sizes on many data sets, then
# compares them fairly: with tuned rates, and with as many updates.
#
# - Install: `pip install keras tensorflow scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `3` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras

from snippets.build_mlp_keras import build_mlp_keras
from snippets.train_replicas_keras import train_replicas_keras
from tabular_findings import tabular_findings
from tabular_problem import *

# %% [markdown]
# ## A plain epoch
#
# Plain `fit`, as a reader would write it, on one data set. The first call
# builds and traces.


# %%
def plain_epochs(batch_size):
    """A function that trains one model for TIMED_EPOCHS more."""
    x, y = (part[0] for part in data["easy"][0])
    model = build_mlp_keras(LAYER_SIZES, FIRST_SEED)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return lambda: model.fit(
        x, y, batch_size=batch_size, epochs=TIMED_EPOCHS, verbose=0
    )


epoch_seconds = time_epochs({size: plain_epochs(size) for size in BATCH_SIZES})

# %% [markdown]
# ## Train
#
# `train_replicas_keras` trains on all data sets at once.


# %%
def train(kind, batch_size, rate, looks):
    fit, check, (x_test, y_test) = data[kind]
    models = [build_mlp_keras(LAYER_SIZES, seed) for seed in SEEDS]
    history = train_replicas_keras(
        models, *fit, batch_size, rate, looks, *check, seed=FIRST_SEED
    )
    logits = [model(inputs) for model, inputs in zip(models, x_test)]
    logits = keras.ops.convert_to_numpy(keras.ops.stack(logits))
    return history["loss"], (logits[..., 0] > 0) == y_test


by_rate, matched = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = tabular_findings(epoch_seconds, by_rate, matched)
