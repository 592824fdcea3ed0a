# %% [markdown]
# # Blobs: eight batch sizes, many seeds (Keras)
#
# Trains the small network of a popular tutorial at eight batch sizes and
# asks which of its conclusions survive more than one run.
#
# - Install: `pip install keras tensorflow scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `3` minutes
# - Timing: `alone`

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import time

import keras

from blobs_findings import blobs_findings
from blobs_problem import *
from snippets.train_replicas_keras import train_replicas_keras

# %% [markdown]
# ## Network
#
# The loss takes logits; a softmax would change nothing else.

# %%
TIMED_EPOCHS = 1 if SHORT else 3


def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(
                HIDDEN_UNITS, activation="relu", kernel_initializer="he_uniform"
            ),
            keras.layers.Dense(NUM_CENTERS),
        ]
    )


# %% [markdown]
# ## Count the updates of one epoch
#
# Counted by the optimizer during `fit`, not calculated.


# %%
def compiled_model(seed):
    model = build_model(seed)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


plain, updates_per_epoch = {}, {}
for batch_size in BATCH_SIZES:
    plain[batch_size] = model = compiled_model(FIRST_SEED)
    model.fit(*train_data, batch_size=batch_size, epochs=1, verbose=0)
    updates_per_epoch[batch_size] = int(model.optimizer.iterations)
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Time an epoch
#
# Plain `fit`, as a reader would write it. The first epoch, which builds and
# traces, was spent above.


# %%
def time_epochs(batch_size):
    start = time.perf_counter()
    plain[batch_size].fit(
        *train_data, batch_size=batch_size, epochs=TIMED_EPOCHS, verbose=0
    )
    return (time.perf_counter() - start) / TIMED_EPOCHS


epoch_seconds = take_turns(time_epochs)

# %% [markdown]
# ## Train
#
# `train_replicas_keras` trains all seeds of a size at once.


# %%
def train(batch_size, rate, looks):
    models = [build_model(FIRST_SEED + number) for number in range(NUM_SEEDS)]
    seed = FIRST_SEED + batch_size
    history = train_replicas_keras(
        models, *train_data, batch_size, rate, looks, *test_data, seed=seed
    )
    return history["accuracy"]


accuracy = train_all(train, updates_per_epoch)

# %% [markdown]
# ## What was found

# %%
results = blobs_findings(updates_per_epoch, epoch_seconds, accuracy)
