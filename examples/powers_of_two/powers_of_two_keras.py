# %% [markdown]
# # Is a power of two faster? (Keras)
#
# Measures the time of an update at powers of two and at the sizes beside
# them, for the batch size and for the width of a layer.
#
# - Install: `pip install keras tensorflow scipy`
# - Runs on: `cpu`, `gpu`
# - Expected: `0.5` minutes
# - Timing: `alone`

# %%
import os

# One thread, so that the result does not depend on the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras
from keras import ops

from powers_of_two_findings import powers_of_two_findings
from powers_of_two_problem import *
from snippets.build_mlp_keras import build_mlp_keras

# %% [markdown]
# ## Device
#
# Float32 in full; bfloat16 is the precision of the tensor cores.

# %%
backend = keras.backend.backend()
if backend == "tensorflow":
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
elif backend == "torch":
    import torch

    on_gpu = torch.cuda.is_available()
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
else:
    raise ValueError(f"this program has no path for the {backend} backend")


def wait():
    """Nothing to do: train_on_batch gives the loss, so it has waited."""


# %% [markdown]
# ## Networks
#
# A multilayer perceptron, and a convolutional network of this form.


# %%
def build_model(width, is_mlp):
    if is_mlp:
        sizes = NUM_FEATURES, width, width, NUM_CLASSES
        return build_mlp_keras(sizes, SEED)
    keras.utils.set_random_seed(SEED)
    settings = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1)),
            keras.layers.Conv2D(width, 3, **settings),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(2 * width, 3, **settings),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


# %% [markdown]
# ## Updates
#
# Forward, backward and SGD, by `train_on_batch`. The batch lies ready as a
# tensor, so that feeding the device is left out.


# %%
def make_updates(name, width, precision):
    """A function of the batch size that gives the update to be timed."""
    is_mlp = name.endswith("mlp")
    mixed = precision == "bfloat16"
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    model = build_model(width, is_mlp)
    keras.config.set_dtype_policy("float32")
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    shape = (NUM_FEATURES,) if is_mlp else (IMAGE_SIZE, IMAGE_SIZE, 1)

    def update_of(batch_size):
        batch = draw_batch(batch_size, shape)
        x, y = map(ops.convert_to_tensor, batch)
        return lambda: model.train_on_batch(x, y)

    return update_of


groups = groups_of("gpu" if on_gpu else "cpu", make_updates)
seconds = time_groups(groups, wait)

# %% [markdown]
# ## What was found

# %%
results = powers_of_two_findings(seconds)
