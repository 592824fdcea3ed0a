# %% [markdown]
# # Rare classes: what batch size does to one attack in a hundred (Keras)
#
# Counts the batches without an attack, and trains a network on rare attacks
# at three batch sizes under several budgets, rates, weights and orders.
#
# - Install: `pip install keras tensorflow scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import keras
import numpy as np

if keras.backend.backend() != "tensorflow":
    # because: many networks are trained at once with TensorFlow's functions.
    raise ValueError("this program needs the tensorflow backend of Keras")
import tensorflow as tf

from rare_classes_findings import rare_classes_findings
from rare_classes_problem import *

# Each training below compiles an update of its own; of that it would warn.
tf.get_logger().setLevel("ERROR")

# %% [markdown]
# ## Network


# %%
def build_model(seed):
    layers = []
    for number, units in enumerate([*HIDDEN_UNITS, 1]):
        start = keras.initializers.GlorotUniform(seed=10 * seed + number)
        activation = "relu" if units > 1 else None
        layers.append(
            keras.layers.Dense(units, activation, kernel_initializer=start)
        )
    return keras.Sequential([keras.Input((NUM_FEATURES,)), *layers])


# %% [markdown]
# ## Count in a loader
#
# Full batches of a shuffled `tf.data` data set, as `fit` would get them.


# %%
def count_empty(batch_size):
    """Share of the batches of each epoch that hold no attack."""
    loader = tf.data.Dataset.from_tensor_slices(y_one)
    loader = loader.shuffle(NUM_TRAIN, seed=FIRST_SEED)
    loader = loader.batch(batch_size, drop_remainder=True)
    return [
        np.mean([not batch.any() for batch in loader.as_numpy_iterator()])
        for _ in range(COUNTED_EPOCHS)
    ]


empty_shares = {size: count_empty(size) for size in COUNTED_SIZES}

# %% [markdown]
# ## Add up the gradients of an epoch

# %%
model_one = build_model(FIRST_SEED)


@tf.function(reduce_retracing=True)
def gradients_of(x, y):
    with tf.GradientTape() as tape:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)(
            y, model_one(x)
        )
    return tape.gradient(loss, model_one.trainable_variables)


def gradient_of(x, y):
    """Of the mean loss of a batch, as one row."""
    found = gradients_of(tf.constant(x), tf.constant(y[:, None], "float32"))
    return np.concatenate([each.numpy().ravel() for each in found])


gradient_errors = errors_of_sums(gradient_of)

# %% [markdown]
# ## Train many networks at once
#
# One for each data set and rate, on batches of its own. Adam's steps are
# proportional to the rate, so it runs at a rate of one, and what it moves is
# multiplied by each network's own.


# %%
def predict(weights, outputs):
    """Logits [networks, batch]; weights: kernels and biases in turn."""
    for layer in range(0, len(weights), 2):
        if layer:
            outputs = tf.nn.relu(outputs)
        bias = weights[layer + 1][:, None]
        outputs = tf.matmul(outputs, weights[layer]) + bias
    return outputs[..., 0]


def train(numbers, rates, batch_size, looks, way):
    """One network for each of the data sets; see `train_in_order`."""
    models = [build_model(FIRST_SEED + number) for number in numbers]
    initial = [
        tf.constant(np.stack(weights))
        for weights in zip(*(model.get_weights() for model in models))
    ]
    rates = tf.constant(rates, "float32")
    rates = [
        tf.reshape(rates, [-1] + [1] * (len(weight.shape) - 1))
        for weight in initial
    ]
    travelled = [keras.Variable(tf.zeros_like(weight)) for weight in initial]
    optimizer = keras.optimizers.Adam(1.0)
    optimizer.build(travelled)
    class_weights = tf.constant(
        CLASS_WEIGHTS if way == "weighted" else [1.0, 1.0]
    )
    # Data sets lie one behind the other, so that one index finds an example.
    x = tf.reshape(data["train"][0], [-1, NUM_FEATURES])
    y = tf.reshape(data["train"][1], [-1])

    def now():
        return [
            start + rate * moved.value
            for start, rate, moved in zip(initial, rates, travelled)
        ]

    def update(batch):
        labels = tf.gather(y, batch)
        with tf.GradientTape() as tape:
            weights = now()
            tape.watch(weights)
            each = tf.nn.sigmoid_cross_entropy_with_logits(
                tf.cast(labels, "float32"),
                predict(weights, tf.gather(x, batch)),
            )
            each *= tf.gather(class_weights, labels)
            # Each network's own mean; their gradients do not mix in a sum.
            loss = tf.reduce_sum(tf.reduce_mean(each, axis=1))
        optimizer.apply(tape.gradient(loss, weights), travelled)

    # One call runs every update of an epoch, or up to the next look.
    @tf.function(
        input_signature=[tf.TensorSpec([len(numbers), None], tf.int32)],
        autograph=False,
    )
    def advance(order):
        def one_update(start):
            update(order[:, start : start + batch_size])
            return [start + batch_size]

        tf.while_loop(lambda start: start < tf.shape(order)[1], one_update, [0])

    def predict_now(inputs):
        return predict(now(), inputs).numpy()

    return train_in_order(numbers, batch_size, looks, way, advance, predict_now)


# %% [markdown]
# ## The same as a plain loop
#
# A few updates of one network, as a reader would write them.

# %%
found = train([0], [BASE_RATE], SMALLEST, [FEW_UPDATES], "weighted")
together = found[FEW_UPDATES]["validation"][0]
model = build_model(FIRST_SEED)
model.compile(
    keras.optimizers.Adam(BASE_RATE),
    keras.losses.BinaryCrossentropy(from_logits=True),
)
for batch in few_batches:
    labels = y_one[batch]
    model.train_on_batch(
        x_one[batch],
        labels[:, None],
        sample_weight=np.array(CLASS_WEIGHTS, "float32")[labels],
    )
alone = model(data["validation"][0][0]).numpy()[:, 0]
logit_errors = np.abs(together - alone)

# %% [markdown]
# ## Choose the rates, and train

# %%
chosen = choose_exponents(train)
scores = train_all(train, chosen)

# %% [markdown]
# ## What a weighted loss is divided by
#
# `BinaryCrossentropy` with `sample_weight`, as `class_weight` in `fit` does.

# %%
weighted_loss = float(
    keras.losses.BinaryCrossentropy(from_logits=True)(
        np.array(LOSS_LABELS, "float32")[:, None],
        np.array(LOSS_LOGITS, "float32")[:, None],
        sample_weight=np.array(CLASS_WEIGHTS, "float32")[LOSS_LABELS],
    )
)
print("a weighted loss of one batch:", weighted_loss)

# %% [markdown]
# ## What was found

# %%
results = rare_classes_findings(
    empty_shares, gradient_errors, logit_errors, chosen, scores, weighted_loss
)
