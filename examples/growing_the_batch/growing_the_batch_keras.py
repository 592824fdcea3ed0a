# %% [markdown]
# # Growing the batch instead of lowering the rate (Keras)
#
# Trains a small network with a learning rate that falls in steps, with a batch
# that grows by the same factors, with both and with neither.
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

from growing_the_batch_findings import growing_the_batch_findings
from growing_the_batch_problem import *
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
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


# %% [markdown]
# ## Time the updates
#
# `train_on_batch` in a plain loop. Its first update traces.


# %%
def prepare(batch_size):
    """An update as a reader would write it."""
    random = np.random.default_rng(0)
    x, y = (part[0] for part in parts[0])
    model = build_model(FIRST_SEED)
    model.compile(
        optimizer=keras.optimizers.SGD(TIMED_RATE, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def update():
        batch = random.integers(len(y), size=batch_size)
        model.train_on_batch(x[batch], y[batch])

    return update


update_seconds = take_turns(prepare)

# %% [markdown]
# ## Train
#
# `train_rates_keras` trains all seeds and rates at once. Building a model
# takes longer than resetting its weights, so each is built once.

# %%
models = [build_model(seed) for seed in SEEDS]
initial = [model.get_weights() for model in models]


def train(optimizer, rates, phases, checkpoints, seed):
    """{data: {"loss" or "accuracy": [checkpoints, rates × seeds]}}."""
    for model, weights in zip(models, initial):
        model.set_weights(weights)
    training, validation, test = for_each_rate(len(rates))
    return train_rates_keras(
        models * len(rates),
        np.repeat(rates, NUM_SEEDS).tolist(),
        *training,
        phases,
        checkpoints,
        {"validation": validation, "test": test},
        seed,
        **OPTIMIZERS[optimizer],
    )


best, runs = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = growing_the_batch_findings(update_seconds, best, runs)
