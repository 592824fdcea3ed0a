# %% [markdown]
# # Larger models, on a GPU (Keras)
#
# Trains a transformer and a convolutional network over batch sizes and
# learning rates until they reach a target, and measures their noise scale.
#
# - Install: `pip install keras tensorflow scikit-learn mnist1d`
# - Runs on: `gpu`
# - Expected: `20` minutes
#
# The minutes are an estimate.

# %%
import os
from importlib.util import find_spec

# Keras takes the backend that finds the GPU: TensorFlow, or else PyTorch.
if "KERAS_BACKEND" not in os.environ and find_spec("torch"):
    import tensorflow as tf
    import torch

    unseen = not tf.config.list_physical_devices("GPU")
    if unseen and torch.cuda.is_available():
        os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras import ops

from larger_models_findings import larger_models_findings
from larger_models_problem import *
from snippets.measure_noise_scale_keras import measure_noise_scale_keras

# %% [markdown]
# ## Device
#
# It is found, and without a GPU the program ends here.

# %%
backend = keras.backend.backend()
# Products of float32 numbers may be rounded on their way, in both frameworks.
if backend == "tensorflow":
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    looked = "tf.config.list_physical_devices('GPU') is empty"
    tf.config.experimental.enable_tensor_float_32_execution(True)
elif backend == "torch":
    import torch

    on_gpu = torch.cuda.is_available()
    looked = "torch.cuda.is_available() is False"
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
else:
    raise ValueError(f"this program has no path for the {backend} backend")
if not on_gpu and not SHORT:
    raise RuntimeError(
        f"found no GPU ({looked}), and this program needs one: on a CPU it "
        "would run for days. To see it work in seconds, set SHORT = True."
    )

# %%
data, targets = draw_data()

# %% [markdown]
# ## Networks
#
# A transformer that predicts each next character, and a convolutional network
# for the digits. Their initial weights have the same spread as in PyTorch.


# %%
def spread():
    """What draws initial weights; one for each, or all would be the same."""
    return keras.initializers.RandomNormal(stddev=INITIAL_SPREAD)


class EmbedCharacters(keras.layers.Layer):
    """What stands for each character, and for its place.

    A product, no look-up: on TensorFlow a look-up's gradient comes in parts,
    of which Keras's Adam takes the squares one by one.
    """

    def build(self, shape):
        self.characters = self.add_weight(
            shape=(VOCABULARY, EMBEDDING_SIZE),
            initializer=spread(),
            name="characters",
        )
        self.positions = self.add_weight(
            shape=(TEXT_LENGTH, EMBEDDING_SIZE),
            initializer=spread(),
            name="positions",
        )

    def call(self, tokens):
        chosen = ops.one_hot(tokens, VOCABULARY)
        return ops.matmul(chosen, self.characters) + self.positions


def build_transformer(seed):
    keras.utils.set_random_seed(seed)
    layers, width = keras.layers, EMBEDDING_SIZE
    tokens = keras.Input((TEXT_LENGTH,), dtype="int32")
    x = EmbedCharacters()(tokens)
    for _ in range(NUM_BLOCKS):
        # Epsilon as in PyTorch.
        normed = layers.LayerNormalization(epsilon=1e-5)(x)
        # Draws each of its kernels anew from what it is given.
        x += layers.MultiHeadAttention(
            NUM_HEADS, width // NUM_HEADS, kernel_initializer=spread()
        )(normed, normed, use_causal_mask=True)
        normed = layers.LayerNormalization(epsilon=1e-5)(x)
        hidden = layers.Dense(
            4 * width, activation="gelu", kernel_initializer=spread()
        )(normed)
        x += layers.Dense(width, kernel_initializer=spread())(hidden)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    scores = layers.Dense(VOCABULARY, kernel_initializer=spread())(x)
    return keras.Model(tokens, scores)


def build_model(seed):
    """The convolutional network."""
    keras.utils.set_random_seed(seed)

    def convolution():
        return keras.layers.Conv1D(
            NUM_CHANNELS, KERNEL_SIZE, padding="same", activation="relu"
        )

    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Reshape((NUM_FEATURES, 1)),
            convolution(),
            convolution(),
            keras.layers.MaxPooling1D(2),
            convolution(),
            # The mean over what is left of the positions.
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


builders = {"transformer": build_transformer, "cnn": build_model}
initial = {
    (name, seed): build(seed).get_weights()
    for name, build in builders.items()
    for seed in SEEDS
}
# The mean over examples, and over the characters of a text.
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Training:
    """A network at one batch size, compiled once for all its runs."""

    def __init__(self, name, batch_size):
        self.name, self.batch_size = name, batch_size
        self.num_parts = max(1, batch_size // MICRO_BATCH_SIZE)
        self.model = builders[name](FIRST_SEED)
        # Keras updates the weights at every so many calls, with the mean.
        several = {"gradient_accumulation_steps": self.num_parts}
        self.optimizer = keras.optimizers.Adam(
            epsilon=1e-7, **(several if self.num_parts > 1 else {})
        )
        self.optimizer.build(self.model.trainable_variables)
        self.model.compile(optimizer=self.optimizer, loss=loss_function)

    def start(self, seed, rate):
        self.model.set_weights(initial[self.name, seed])
        for variable in self.optimizer.variables:
            variable.assign(ops.zeros_like(variable))
        self.optimizer.learning_rate = rate
        self.data = data[self.name, seed]

    def update(self, batch):
        """One update with the examples of these numbers."""
        x, y = self.data["training"]
        for part in np.split(batch, self.num_parts):
            self.model.train_on_batch(x[part], y[part])

    def loss(self, part):
        """The mean loss on validation or test data, in nats."""
        x, y = self.data[part]
        count = len(x) // MICRO_BATCH_SIZE
        batches = zip(np.split(x, count), np.split(y, count))
        return np.mean(
            [float(self.model.test_on_batch(x, y)) for x, y in batches]
        )


# %% [markdown]
# ## Train

# %%
runs, noise = run_all(
    Training, targets, measure_noise_scale_keras, loss_function
)

# %% [markdown]
# ## What was found

# %%
results = larger_models_findings(runs, noise)
