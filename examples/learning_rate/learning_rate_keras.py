# %% [markdown]
# # Learning rate and batch size, mapped (Keras)
#
# Trains a small network at many learning rates and batch sizes, and asks how
# the best rate moves, and what each rule of thumb costs.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `3` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras

from learning_rate_findings import learning_rate_findings
from learning_rate_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.train_rates_keras import train_rates_keras

# %% [markdown]
# ## Time an epoch
#
# Plain `fit`, as a reader would write it. Its first epoch builds and traces.


# %%
def prepare(batch_size):
    """A training of so many epochs, at one batch size."""
    x, y = (part[0] for part in data["mnist1d"][0])
    model = build_mlp_keras(LAYERS["mnist1d"], FIRST_SEED)
    model.compile(
        optimizer=keras.optimizers.SGD(TIMED_RATE, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda num_epochs: model.fit(
        x, y, batch_size=batch_size, epochs=num_epochs, verbose=0
    )


update_seconds = time_updates(prepare)

# %% [markdown]
# ## Train
#
# `train_rates_keras` trains all rates and seeds of a batch size at once.
# Building a model takes longer than resetting its weights, so each is built
# once.

# %%
models = {
    name: [build_mlp_keras(sizes, seed) for seed in SEEDS]
    for name, sizes in LAYERS.items()
}
initial = {
    name: [model.get_weights() for model in built]
    for name, built in models.items()
}


def models_for(name, num_rates):
    for model, weights in zip(models[name], initial[name]):
        model.set_weights(weights)
    return models[name] * num_rates


train = training_with(train_rates_keras, models_for, np.asarray)
maps = train_map(train, update_seconds)
warmed = train_warmups(train)
curves = train_curves(train, maps)

# %% [markdown]
# ## What was found

# %%
results = learning_rate_findings(update_seconds, maps, warmed, curves)
