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

from data_set_size_findings import data_set_size_findings
from data_set_size_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Train
#
# `train_rates_keras` trains all rates and data sets of a batch size at once.
# Building a model takes longer than resetting its weights, so each is built
# once.

# %%
models = [build_mlp_keras(LAYERS, seed) for seed in SEEDS]
initial = [model.get_weights() for model in models]


def models_for(num_rates):
    for model, weights in zip(models, initial):
        model.set_weights(weights)
    return models * num_rates


updates_per_epoch, accuracy = train_all(
    train_rates_keras, models_for, np.asarray
)

# %% [markdown]
# ## What was found

# %%
results = data_set_size_findings(updates_per_epoch, accuracy)
