# %% [markdown]
# # Critical batch size and gradient noise scale (Keras)
#
# Counts the updates to a target at many batch sizes, each with its best rate,
# and asks whether the gradient noise scale predicts where the gain ends.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `4` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras

from critical_batch_size_findings import critical_batch_size_findings
from critical_batch_size_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.measure_noise_scale_keras import measure_noise_scale_keras
from snippets.time_in_turns import time_in_turns
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Time the updates
#
# The plain loop over `train_on_batch`; `fit` has a cost for each call, which
# few updates would not spread.


# %%
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def prepare(batch_size):
    """An update as a reader would write it."""
    random = np.random.default_rng(FIRST_SEED)
    x, y = (part[0] for part in data["mnist1d"][0])
    model = build_mlp_keras(LAYERS["mnist1d"], FIRST_SEED)
    model.compile(keras.optimizers.SGD(TIMED_RATE), loss_function)

    def update():
        batch = random.integers(len(y), size=batch_size)
        model.train_on_batch(x[batch], y[batch])

    return update


update_seconds = time_in_turns(
    {size: prepare(size) for size in BATCH_SIZES}, TIMED_REPEATS, TIMED_SECONDS
)

# %% [markdown]
# ## Train to the targets
#
# `train_rates_keras` trains all rates and seeds of a batch size at once.
# Building a model takes longer than resetting its weights, so each is built
# once.

# %%
built = {
    name: [build_mlp_keras(sizes, seed) for seed in SEEDS]
    for name, sizes in LAYERS.items()
}
initial = {
    name: [model.get_weights() for model in models]
    for name, models in built.items()
}


def models_for(name, num_rates):
    """Every seed's model, with its initial weights, for each of the rates."""
    for model, weights in zip(built[name], initial[name]):
        model.set_weights(weights)
    return built[name] * num_rates


how = train_rates_keras, models_for, np.asarray
runs = train_to_targets(*how)

# %% [markdown]
# ## Noise scale along training


# %%
def two_batch_noise_scale(model, x, y, seed):
    sizes = SMALL_BATCH_SIZE, LARGE_BATCH_SIZE, NUM_BATCHES
    found = measure_noise_scale_keras(model, loss_function, x, y, *sizes, seed)
    return found["noise_scale"]


noise = measure_noise(*how, keras.Model.get_weights, two_batch_noise_scale)

# %% [markdown]
# ## What was found

# %%
results = critical_batch_size_findings(update_seconds, runs, noise)
