# %% [markdown]
# # What a batch is: counts, orders and three kinds of descent (Keras)
#
# Counts the updates that Keras makes, weighs the last partial batch, and
# trains on single examples, mini-batches and all examples.
#
# - Install: `pip install keras tensorflow scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `1.5` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import warnings

import keras
from keras import ops

from what_a_batch_is_findings import what_a_batch_is_findings
from what_a_batch_is_problem import *

if keras.backend.backend() != "tensorflow":
    raise RuntimeError(
        f"this program measures Keras on TensorFlow, not on "
        f"{keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
    )
import tensorflow as tf

# %% [markdown]
# ## Look at the order of examples
#
# Each example is its own number, so that what a batch holds can be read off.


# %%
class Spy(keras.layers.Layer):
    """Writes down which examples pass."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, inputs):
        self.seen += np.asarray(inputs)[:, 0].astype(int).tolist()
        return inputs


def orders_of_fit(data, **options):
    spy = Spy()
    model = keras.Sequential([keras.Input((1,)), spy, keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    # Compiling may have passed an example of its own.
    spy.seen.clear()
    model.fit(*data, epochs=ORDER_EPOCHS, verbose=0, **options)
    return np.array(spy.seen).reshape(ORDER_EPOCHS, -1).tolist()


numbers = np.arange(ORDER_EXAMPLES, dtype="float32")[:, None]
arrays = (numbers, 0 * numbers)
orders = {"unseeded": orders_of_fit(arrays, batch_size=ORDER_BATCH_SIZE)}
keras.utils.set_random_seed(FIRST_SEED)
orders["seeded"] = orders_of_fit(arrays, batch_size=ORDER_BATCH_SIZE)
dataset = tf.data.Dataset.from_tensor_slices(arrays)
dataset = dataset.shuffle(ORDER_EXAMPLES, seed=FIRST_SEED)
orders["own_shuffle"] = orders_of_fit(
    (dataset.batch(ORDER_BATCH_SIZE),), shuffle=False
)

# %% [markdown]
# ## Count updates
#
# Counted while `fit` runs, not calculated. Adam counts its own steps as well;
# the two are compared where the length of the data is not known.


# %%
class CountBatches(keras.callbacks.Callback):
    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


class CountExamples(keras.layers.Layer):
    """Adds up the sizes of the batches that pass."""

    def build(self, shape):
        self.total, self.last = (
            self.add_weight(
                shape=(), dtype="int32", initializer="zeros", trainable=False
            )
            for _ in range(2)
        )

    def call(self, inputs):
        # All inputs are ones, so that this waits for the data to arrive.
        size = ops.cast(ops.sum(inputs), "int32")
        self.last.assign(size)
        self.total.assign(self.total + size)
        return inputs


examples_layer = CountExamples()
counting_model = keras.Sequential(
    [keras.Input((1,)), examples_layer, keras.layers.Dense(1)]
)
counting_model.compile("adam", "mse")


def run_fit(data, num_epochs, **options):
    """Train a tiny model, and count what happens meanwhile."""
    examples_layer.total.assign(0)
    examples_layer.last.assign(0)
    counter = CountBatches()
    kernel = counting_model.trainable_variables[0]
    before = float(ops.squeeze(kernel.value))
    iterations_before = int(counting_model.optimizer.iterations)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        counting_model.fit(
            *data, epochs=num_epochs, verbose=0, callbacks=[counter], **options
        )
    iterations = int(counting_model.optimizer.iterations)
    return {
        "updates": counter.batches,
        "examples_seen": int(examples_layer.total.value),
        "last_batch_size": int(examples_layer.last.value),
        "own_count": iterations - iterations_before,
        "warnings": sum("ran out of data" in str(w.message) for w in caught),
        "weight_change": abs(float(ops.squeeze(kernel.value)) - before),
    }


def ones(examples):
    return np.ones((examples, 1), "float32"), np.ones((examples, 1), "float32")


def run_case(examples, batch_size, num_epochs, drop_last):
    if not drop_last:
        return run_fit(ones(examples), num_epochs, batch_size=batch_size)
    dataset = tf.data.Dataset.from_tensor_slices(ones(examples))
    dataset = dataset.batch(batch_size, drop_remainder=True)
    return run_fit((dataset,), num_epochs, shuffle=False)


counts = count_all(run_case)
# A filter may drop examples, so nobody knows how many will come.
stream = tf.data.Dataset.from_tensor_slices(ones(STREAMED[0]))
stream = stream.filter(lambda inputs, target: True).batch(STREAMED[1])
counts["streamed", *STREAMED] = run_fit((stream,), STREAMED[2], shuffle=False)

# %% [markdown]
# ## Network
#
# The loss takes logits; a softmax would change nothing else.

# %%
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(
                HIDDEN_UNITS, activation="relu", kernel_initializer="he_uniform"
            ),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


def compiled_model(rate):
    model = build_model(FIRST_SEED)
    model.compile(optimizer=keras.optimizers.SGD(rate), loss=loss_of)
    return model


# %% [markdown]
# ## Weigh the last partial batch
#
# The gradient of the loss at an example's input shows how much the example
# counts in its batch: nothing else in the batch reaches that input.


# %%
def gradients_of(seed, examples):
    """At the inputs and at the weights, in float64."""
    keras.config.set_dtype_policy("float64")
    model = build_model(seed)
    keras.config.set_dtype_policy("float32")
    inputs = tf.constant(x[examples], "float64")
    each_loss = keras.losses.sparse_categorical_crossentropy
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = ops.mean(each_loss(y[examples], model(inputs), from_logits=True))
    return tape.gradient(loss, (inputs, model.trainable_variables))


def input_gradients(count):
    return np.linalg.norm(gradients_of(FIRST_SEED, slice(count))[0], axis=1)


of_partial, of_full = map(input_gradients, (left_over, REFERENCE_BATCH_SIZE))
partial_weights = of_partial / of_full[:left_over]

# %% [markdown]
# ## Compare the loss of an epoch with what is printed
#
# At a rate of zero the weights stay, so that only the averaging can differ.
# What is usual is the loss that `fit` prints.

# %%
model = compiled_model(rate=0.0)
losses = {"true": [], "usual": [], "batches": []}
for order in left_over_orders():
    cuts = range(LEFT_OVER_BATCH_SIZE, LEFT_OVER_EXAMPLES, LEFT_OVER_BATCH_SIZE)
    batches = np.split(order, cuts)
    each = [float(loss_of(y[batch], model(x[batch]))) for batch in batches]
    losses["true"].append(float(loss_of(y[order], model(x[order]))))
    losses["batches"].append(each)
    history = model.fit(
        x[order],
        y[order],
        batch_size=LEFT_OVER_BATCH_SIZE,
        shuffle=False,
        verbose=0,
    )
    losses["usual"].append(history.history["loss"][0])

# %% [markdown]
# ## Take the gradient of all examples
#
# In float64.


# %%
def full_gradient(seed, examples):
    gradients = gradients_of(seed, examples)[1]
    return np.concatenate([gradient.numpy().ravel() for gradient in gradients])


distances = gradient_distances(full_gradient)

# %% [markdown]
# ## Time an epoch
#
# Plain `fit`, as a reader would write it.


# %%
def prepare(batch_size):
    model = compiled_model(rate=0.01)

    def epoch():
        before = int(model.optimizer.iterations)
        model.fit(x_train, y_train, batch_size=batch_size, verbose=0)
        return int(model.optimizer.iterations) - before

    return epoch


timed = time_epochs(prepare)

# %% [markdown]
# ## Train
#
# Plain descent, `w -= learning_rate * gradient`. The weights of all seeds at
# all rates are stacked, and one matrix product serves all of them.

# %%
models = [build_model(seed) for seed in SEEDS]
each_loss = keras.losses.sparse_categorical_crossentropy


def start(rates):
    stacked = [
        keras.Variable(
            np.concatenate([np.stack(weights)] * (len(rates) // NUM_SEEDS))
        )
        for weights in zip(*(model.get_weights() for model in models))
    ]
    inputs, labels = tf.constant(x_train), tf.constant(y_train)
    check = tf.constant(np.tile(x_check, (len(rates), 1, 1)))
    check_labels = tf.constant(np.tile(y_check, (len(rates), 1)))

    def predict(weights, batch):
        kernel, bias, last_kernel, last_bias = weights
        hidden = ops.relu(ops.matmul(batch, kernel) + bias[:, None])
        return ops.matmul(hidden, last_kernel) + last_bias[:, None]

    def one_update(batch):
        with tf.GradientTape() as tape:
            weights = [variable.value for variable in stacked]
            tape.watch(weights)
            outputs = predict(weights, tf.gather(inputs, batch))
            each = each_loss(
                tf.gather(labels, batch), outputs, from_logits=True
            )
            # Each model's own mean; a sum keeps their gradients apart.
            loss = ops.sum(ops.mean(each, axis=1))
        for variable, gradient in zip(stacked, tape.gradient(loss, weights)):
            shape = (-1, *[1] * (len(variable.shape) - 1))
            variable.assign_sub(ops.reshape(rates, shape) * gradient)

    # One call runs every update up to the next look.
    @tf.function(
        input_signature=[
            tf.TensorSpec([len(rates), None], tf.int32),
            tf.TensorSpec([], tf.int32),
        ],
        autograph=False,
    )
    def advance(order, batch_size):
        def body(start):
            one_update(order[:, start : start + batch_size])
            return [start + batch_size]

        tf.while_loop(lambda start: start < tf.shape(order)[1], body, [0])

    @tf.function(autograph=False)
    def look():
        outputs = predict([each.value for each in stacked], check)
        hits = ops.equal(ops.argmax(outputs, axis=2), check_labels)
        losses = each_loss(check_labels, outputs, from_logits=True)
        return losses, ops.cast(hits, "float32")

    return advance, look


runs = train_all(start)

# %% [markdown]
# ## What was found

# %%
results = what_a_batch_is_findings(
    orders, counts, partial_weights, losses, distances, timed, runs
)
