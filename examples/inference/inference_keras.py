# %% [markdown]
# # Batches at inference (Keras)
#
# Measures latency and throughput against batch size, what padding wastes,
# and a server that joins requests into batches, under load.
#
# - Install: `pip install keras tensorflow scikit-learn scipy`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread for a call; that of the client is another.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras
from keras import layers, ops

from inference_findings import inference_findings
from inference_problem import *

# %% [markdown]
# ## Device
#
# Float32 in full, or a batch would differ from its examples alone.

# %%
backend = keras.backend.backend()
if backend not in ("tensorflow", "torch"):
    raise ValueError(f"this program has no path for the {backend} backend")
if backend == "tensorflow":
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
else:
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False

# %% [markdown]
# ## Networks
#
# A deep, narrow perceptron to be served; one layer of attention for
# sequences, whose padding is masked, or is not; a perceptron with batch
# normalisation, with momentum and epsilon as PyTorch has them.


# %%
def build_model(seed):
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(WIDTH, activation="tanh") for _ in range(NUM_HIDDEN)]
    return keras.Sequential(
        [keras.Input((NUM_FEATURES,)), *hidden, layers.Dense(NUM_CLASSES)]
    )


def build_sequence_model(seed, masked):
    keras.utils.set_random_seed(seed)
    tokens = keras.Input((None,), dtype="int32")
    mask = ops.cast(ops.not_equal(tokens, 0), "float32")
    if not masked:
        mask = ops.ones_like(mask)
    x = layers.Embedding(VOCABULARY, WIDTH)(tokens)
    query, key, value = (layers.Dense(WIDTH)(x) for _ in range(3))
    scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / WIDTH**0.5
    scores = scores - 1e9 * (1 - mask[:, None, :])
    x = x + ops.matmul(ops.softmax(scores), value)
    inner = layers.Dense(4 * WIDTH, activation="relu")(x)
    x = x + layers.Dense(WIDTH)(inner)
    sums = ops.sum(x * mask[:, :, None], axis=1)
    means = sums / ops.sum(mask, axis=1, keepdims=True)
    return keras.Model(tokens, layers.Dense(NUM_CLASSES)(means))


def build_normalised_model(seed):
    keras.utils.set_random_seed(seed)
    hidden = []
    for _ in range(2):
        hidden += [
            layers.Dense(WIDTH),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            layers.ReLU(),
        ]
    return keras.Sequential(
        [keras.Input((NUM_FEATURES,)), *hidden, layers.Dense(NUM_CLASSES)]
    )


# %% [markdown]
# ## Calling a network
#
# From an array to an array: the way to the device and back belongs to the
# time that a service takes. What is often written first, `predict`, is a loop
# over batches, for one of them.


# %%
def call_of(model, training=False):
    """A function from an array of inputs to an array of outputs."""
    if backend == "torch":

        def call(x):
            with torch.inference_mode():
                outputs = model(x, training=training)
            return ops.convert_to_numpy(outputs)

        return call
    # Traced once for batches and lengths of any size, not once for each.
    shape = tf.TensorSpec((None, *model.input_shape[1:]), model.input_dtype)
    compiled = tf.function(
        lambda x: model(x, training=training), input_signature=[shape]
    )
    return lambda x: compiled(x).numpy()


model = build_model(FIRST_SEED)
call = call_of(model)
score, score_unmasked = (
    call_of(build_sequence_model(FIRST_SEED, masked))
    for masked in (True, False)
)


def usual_call(x):
    return model.predict(x, batch_size=len(x), verbose=0)


# %% [markdown]
# ## Call, pad and serve

# %%
calls = time_calls(call, usual_call)
passes = time_passes(score)
differences = compare_with_alone(call, score, score_unmasked)
served = serve_loads(call)

# %% [markdown]
# ## Forget the mode
#
# One network for all seeds, so that it is compiled once.

# %%
normalised = build_normalised_model(FIRST_SEED)
normalised.compile(
    keras.optimizers.SGD(LEARNING_RATE),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)


def train(seed, x, y):
    normalised.set_weights(build_normalised_model(seed).get_weights())
    for batch in draw_batches(seed, len(x)):
        normalised.train_on_batch(x[batch], y[batch])
    return normalised


modes = answer_in_modes(train, call_of)

# %% [markdown]
# ## What was found

# %%
results = inference_findings(calls, passes, differences, served, modes)
