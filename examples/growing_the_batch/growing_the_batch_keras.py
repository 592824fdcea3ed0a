# %% [markdown]
# # Growing the batch instead of lowering the rate (Keras)
#
# Trains a small network with a learning rate that falls in steps, with a batch
# that grows by the same factors, with both and with neither.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1.5` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras

from growing_the_batch_findings import growing_the_batch_findings
from growing_the_batch_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.time_in_turns import time_in_turns
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Time the updates
#
# `train_on_batch` in a plain loop, in seconds of the processor.


# %%
def prepare(batch_size):
    """An update as a reader would write it."""
    random = np.random.default_rng(0)
    x, y = (part[0] for part in parts[0])
    model = build_mlp_keras(LAYERS, FIRST_SEED)
    model.compile(
        optimizer=keras.optimizers.SGD(TIMED_RATE, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def update():
        batch = random.integers(len(y), size=batch_size)
        model.train_on_batch(x[batch], y[batch])

    return update


update_seconds = time_in_turns(
    {size: prepare(size) for size in TIMED_BATCH_SIZES},
    TIMED_REPEATS,
    TIMED_SECONDS,
)

# %% [markdown]
# ## Train
#
# `train_rates_keras` trains all seeds and rates at once. Building a model
# takes longer than resetting its weights, so each is built once.

# %%
models = [build_mlp_keras(LAYERS, seed) for seed in SEEDS]
initial = [model.get_weights() for model in models]


def models_for(num_rates):
    for model, weights in zip(models, initial):
        model.set_weights(weights)
    return models * num_rates


best, runs = train_all(train_rates_keras, models_for, np.asarray)

# %% [markdown]
# ## What was found

# %%
results = growing_the_batch_findings(update_seconds, best, runs)
