# %% [markdown]
# # Batch size and the size of the data set (Keras)
#
# Trains on few and on many examples with four batch sizes, and asks whether
# the best one grows with the data: at one rate, tuned, and at equal updates.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras

from data_set_size_findings import data_set_size_findings
from data_set_size_problem import *
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Network
#
# The loss takes logits; a softmax would change nothing else.


# %%
def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(2),
        ]
    )


# Building a model takes longer than resetting its weights.
built = [build_model(seed) for seed in SEEDS]
initial = [model.get_weights() for model in built]

# %% [markdown]
# ## Train
#
# `train_rates_keras` trains all rates and data sets of a batch size at once.


# %%
def train(rates, data, phases, checkpoints, check, seed):
    for model, weights in zip(built, initial):
        model.set_weights(weights)
    history = train_rates_keras(
        built * len(rates),
        np.repeat(rates, NUM_DATA_SETS).tolist(),
        *data,
        phases,
        checkpoints,
        check,
        seed,
        optimizer="adam",
    )
    return {part: found["accuracy"] for part, found in history.items()}


updates_per_epoch, accuracy = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = data_set_size_findings(updates_per_epoch, accuracy)
