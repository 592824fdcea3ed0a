# %% [markdown]
# # Mistakes with batches and updates (Keras)
#
# Makes each of the usual mistakes on purpose, measures how it shows, and runs
# what mends it.
#
# - Install: `pip install keras tensorflow scikit-learn scipy`
# - Runs on: `cpu`
# - Expected: `0.5` minutes

# %%
import os
from functools import partial

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras
import numpy as np
from keras import ops

from batch_mistakes_findings import batch_mistakes_findings
from batch_mistakes_problem import *
from snippets.build_mlp_keras import build_mlp_keras
from snippets.sum_embedding_gradients_keras import (
    sum_embedding_gradients_keras,
)

if keras.backend.backend() != "tensorflow":
    # because: the devices, the gradients and the loaders are TensorFlow's.
    raise RuntimeError("set KERAS_BACKEND=tensorflow for this program")
import tensorflow as tf

# %%
# This processor stands for several devices, which has to be said before
# TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * NUM_DEVICES,
)

# %% [markdown]
# ## Network


# %%
# --8<-- [start:common]
def build_model(seed):
    return build_mlp_keras([NUM_FEATURES, HIDDEN_UNITS, NUM_CLASSES], seed)


def mean_loss(labels, outputs):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss(labels, outputs)


def gradients_of(model, x, y, loss_function=mean_loss):
    with tf.GradientTape() as tape:
        loss = loss_function(y, model(x, training=True))
    return tape.gradient(loss, model.trainable_variables)


# --8<-- [end:common]


def flat(arrays):
    return np.concatenate([np.ravel(ops.convert_to_numpy(a)) for a in arrays])


def weights_of(model):
    return flat(model.trainable_variables)


def moved_by(update, model, parts):
    """How far each weight moves in one update at a rate of one."""
    before = weights_of(model)
    update(model, keras.optimizers.SGD(1.0), parts)
    return weights_of(model) - before


def length_of(arrays):
    return float(np.linalg.norm(flat(arrays)))


# %% [markdown]
# ## Accumulate gradients
#
# Not divided, not cleared, averaged by micro-batch over tokens: the first of
# each pair of functions makes the mistake, the second does not. The rows of
# `x` are tokens as well, and `mask` is zero for padding.


# %%
# --8<-- [start:no_division]
def update_undivided(model, optimizer, parts):
    totals = [0.0] * len(model.trainable_variables)
    for x, y in parts:
        gradients = gradients_of(model, x, y)
        totals = [t + g for t, g in zip(totals, gradients)]
    optimizer.apply(totals, model.trainable_variables)


# --8<-- [end:no_division]
# --8<-- [start:division]
def update_divided(model, optimizer, parts):
    num_examples = sum(len(x) for x, _ in parts)
    totals = [0.0] * len(model.trainable_variables)
    for x, y in parts:
        share = len(x) / num_examples
        gradients = gradients_of(model, x, y)
        totals = [t + share * g for t, g in zip(totals, gradients)]
    optimizer.apply(totals, model.trainable_variables)


# --8<-- [end:division]
# --8<-- [start:no_reset]
def train_without_clearing(model, optimizer, groups):
    lengths = []
    totals = [0.0] * len(model.trainable_variables)
    for parts in groups:
        for x, y in parts:
            gradients = gradients_of(model, x, y)
            totals = [t + g / len(parts) for t, g in zip(totals, gradients)]
        optimizer.apply(totals, model.trainable_variables)
        lengths.append(length_of(totals))
    return lengths


# --8<-- [end:no_reset]
# --8<-- [start:reset]
def train_with_clearing(model, optimizer, groups):
    lengths = []
    for parts in groups:
        # Anew for each update.
        totals = [0.0] * len(model.trainable_variables)
        for x, y in parts:
            gradients = gradients_of(model, x, y)
            totals = [t + g / len(parts) for t, g in zip(totals, gradients)]
        optimizer.apply(totals, model.trainable_variables)
        lengths.append(length_of(totals))
    return lengths


# --8<-- [end:reset]
parts = batches_of(MICRO_BATCH_SIZE, *whole)
compare = partial(compare_updates, moved_by, update_divided, whole, parts)
observed = {
    "no_division": compare(build_model, update_undivided),
    "division": compare(build_model, update_divided),
}


def lengths_of(train, seed):
    still = keras.optimizers.SGD(0.0)
    return train(build_model(seed), still, [parts] * NUM_GROUPS)


observed |= for_each_seed(
    lengths_of, no_reset=train_without_clearing, reset=train_with_clearing
)


# --8<-- [start:token_means]
def update_by_token_means(model, optimizer, parts):
    totals = [0.0] * len(model.trainable_variables)
    for x, y, mask in parts:
        with tf.GradientTape() as tape:
            losses = token_losses(y, model(x)) * mask
            loss = ops.sum(losses) / mask.sum() / len(parts)
        gradients = tape.gradient(loss, model.trainable_variables)
        totals = [t + g for t, g in zip(totals, gradients)]
    optimizer.apply(totals, model.trainable_variables)


# --8<-- [end:token_means]
# --8<-- [start:all_tokens]
def update_by_all_tokens(model, optimizer, parts):
    num_tokens = sum(mask.sum() for _, _, mask in parts)
    totals = [0.0] * len(model.trainable_variables)
    for x, y, mask in parts:
        with tf.GradientTape() as tape:
            losses = token_losses(y, model(x)) * mask
            loss = ops.sum(losses) / num_tokens
        gradients = tape.gradient(loss, model.trainable_variables)
        totals = [t + g for t, g in zip(totals, gradients)]
    optimizer.apply(totals, model.trainable_variables)


# --8<-- [end:all_tokens]
token_parts = batches_of(MICRO_SEQUENCES * MAX_LENGTH, *tokens)
compare_tokens = partial(
    compare_updates, moved_by, update_by_all_tokens, tokens, token_parts
)


def token_losses(labels, outputs):
    return keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=True
    )


observed["token_means"] = compare_tokens(build_model, update_by_token_means)
observed["all_tokens"] = compare_tokens(build_model, update_by_all_tokens)

# %% [markdown]
# ## Normalise over the batch
#
# When it is accumulated, when it has two examples, and when one is left over:
# if that raises, it is written down; if not, ten go through, one by one.


# %%
# --8<-- [start:batch_norm]
def build_normalised(seed, layer):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(HIDDEN_UNITS),
            layer(epsilon=EPSILON),
            keras.layers.ReLU(),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


def build_with_batch_norm(seed):
    return build_normalised(seed, keras.layers.BatchNormalization)


# --8<-- [end:batch_norm]
# --8<-- [start:layer_norm]
def build_with_layer_norm(seed):
    return build_normalised(seed, keras.layers.LayerNormalization)


# --8<-- [end:layer_norm]
# --8<-- [start:pair_by_batch]
def normalise_pair_by_batch(hidden):
    layer = keras.layers.BatchNormalization(epsilon=EPSILON)
    return layer(hidden[:2], training=True)


# --8<-- [end:pair_by_batch]
# --8<-- [start:pair_by_example]
def normalise_pair_by_example(hidden):
    layer = keras.layers.LayerNormalization(epsilon=EPSILON)
    return layer(hidden[:2], training=True)


# --8<-- [end:pair_by_example]
# --8<-- [start:one_left_over]
def train_with_one_left_over(model, x, y):
    model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)


# --8<-- [end:one_left_over]
# --8<-- [start:none_left_over]
def train_with_none_left_over(model, x, y):
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    dataset = dataset.shuffle(len(x), seed=FIRST_SEED)
    dataset = dataset.batch(BATCH_SIZE, drop_remainder=True)
    model.fit(dataset, verbose=0)


# --8<-- [end:none_left_over]
def normalised(normalise, seed):
    x, _ = batches_of(2, *train_data)[seed - FIRST_SEED]
    hidden = build_with_batch_norm(seed).layers[0](x)
    return ops.convert_to_numpy(normalise(hidden))


observed |= for_each_seed(
    normalised,
    pair_by_batch=normalise_pair_by_batch,
    pair_by_example=normalise_pair_by_example,
)


def watched(train, build, *arguments):
    model = build(FIRST_SEED)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), mean_loss)
    return watch(train, model, weights_of, *arguments)


build = build_with_batch_norm
model = build(FIRST_SEED)
observed |= {
    "batch_norm": compare(build, update_divided),
    "layer_norm": compare(build_with_layer_norm, update_divided),
    "one_left_over": watched(train_with_one_left_over, build, *left_over),
    "none_left_over": watched(train_with_none_left_over, build, *left_over),
    "alone": outputs_alone(
        lambda x: ops.convert_to_numpy(model(x, training=True)), left_over[0]
    ),
}

# %% [markdown]
# ## Reduce the loss
#
# The gradient of a batch, and of a larger one that holds the same examples
# several times. And what part of an epoch's loss one example is.


# %%
# --8<-- [start:summed]
def summed_loss(labels, outputs):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="sum"
    )
    return loss(labels, outputs)


# --8<-- [end:summed]
def growth_of(loss, seed):
    copied = [np.concatenate([each] * COPIES) for each in whole]
    return [
        length_of(gradients_of(build_model(seed), *batch, loss))
        for batch in (whole, copied)
    ]


observed |= for_each_seed(growth_of, summed=summed_loss, averaged=mean_loss)
untrained = build_model(FIRST_SEED)
observed |= shares_of_the_last(
    lambda x, y: float(mean_loss(y, untrained(x))), *left_over
)

# %% [markdown]
# ## Give out examples
#
# Too few for a batch, in one order for all epochs, sorted by class, with noise
# that repeats, and shared out to several devices, which are parts of one
# processor here. The orders are read from the labels.


# %%
# --8<-- [start:dropped]
def train_dropping_the_rest(model, x, y, batch_size):
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    dataset = dataset.batch(batch_size, drop_remainder=True)
    model.fit(dataset, verbose=0)


# --8<-- [end:dropped]
# --8<-- [start:not_dropped]
def train_on_the_rest(model, x, y, batch_size):
    train_dropping_the_rest(model, x, y, min(batch_size, len(x)))


# --8<-- [end:not_dropped]
# --8<-- [start:seeded_order]
def train_seeded(model, x, y, seed):
    keras.utils.set_random_seed(seed)
    model.fit(x, y, batch_size=BATCH_SIZE, epochs=NUM_EPOCHS, verbose=0)


# --8<-- [end:seeded_order]
# --8<-- [start:own_order]
def train_with_own_shuffle(model, x, y, seed):
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    dataset = dataset.shuffle(len(x), seed=seed).batch(BATCH_SIZE)
    model.fit(dataset, epochs=NUM_EPOCHS, verbose=0)


# --8<-- [end:own_order]
# --8<-- [start:sorted]
def train_in_order(model, x, y, seed):
    model.fit(
        x, y, batch_size=BATCH_SIZE, epochs=NUM_EPOCHS, shuffle=False, verbose=0
    )


# --8<-- [end:sorted]
# --8<-- [start:same_noise]
def noisy_examples(x):
    keras.utils.set_random_seed(FIRST_SEED)
    dataset = tf.data.Dataset.from_tensor_slices(x)
    return dataset.map(lambda each: each + tf.random.uniform(each.shape))


# --8<-- [end:same_noise]
# --8<-- [start:new_noise]
def freshly_noisy_examples(x):
    # It keeps its state from epoch to epoch.
    random = tf.random.Generator.from_seed(FIRST_SEED)
    dataset = tf.data.Dataset.from_tensor_slices(x)
    return dataset.map(lambda each: each + random.uniform(each.shape))


# --8<-- [end:new_noise]
# --8<-- [start:per_device]
def batches_of_devices_wrong(dataset, strategy):
    # As it would be right in PyTorch, whose loaders know of one device.
    batches = dataset.batch(GLOBAL_BATCH_SIZE // NUM_DEVICES)
    return strategy.experimental_distribute_dataset(batches)


# --8<-- [end:per_device]
# --8<-- [start:global]
def batches_of_devices(dataset, strategy):
    batches = dataset.batch(GLOBAL_BATCH_SIZE)
    return strategy.experimental_distribute_dataset(batches)


# --8<-- [end:global]
def order_of(train):
    seen = []

    def loss(labels, outputs):
        seen.extend(labels.numpy().flatten().tolist())
        return ops.mean(outputs)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", loss, run_eagerly=True)
    numbers = np.arange(2 * BATCH_SIZE, dtype="float32")[:, None]
    keras.utils.set_random_seed(FIRST_SEED)
    train(model, numbers, numbers, FIRST_SEED)
    return seen


# Compiled once, and given other weights for each seed.
trained = build_model(FIRST_SEED)
trained.compile(keras.optimizers.SGD(LEARNING_RATE), mean_loss)


def predictions(train, seed):
    trained.set_weights(build_model(seed).get_weights())
    train(trained, *sorted_data, seed)
    return ops.convert_to_numpy(trained(x_test)).argmax(axis=1)


def epochs_of(augmented):
    dataset = augmented(whole[0])
    return [flat(list(dataset)) for _ in range(NUM_EPOCHS)]


def examples_of(distribute):
    devices = [f"CPU:{number}" for number in range(NUM_DEVICES)]
    strategy = tf.distribute.MirroredStrategy(devices)
    dataset = tf.data.Dataset.from_tensor_slices(train_data[0])
    shares = next(iter(distribute(dataset, strategy)))
    shares = strategy.experimental_local_results(shares)
    return [len(share) for share in shares]


observed |= for_each_seed(
    predictions, sorted=train_in_order, shuffled=train_with_own_shuffle
)
observed |= {
    "dropped": watched(train_dropping_the_rest, build_model, *few, BATCH_SIZE),
    "not_dropped": watched(train_on_the_rest, build_model, *few, BATCH_SIZE),
    "seeded_order": order_of(train_seeded),
    "own_order": order_of(train_with_own_shuffle),
    "same_noise": epochs_of(noisy_examples),
    "new_noise": epochs_of(freshly_noisy_examples),
    "per_device": examples_of(batches_of_devices_wrong),
    "global": examples_of(batches_of_devices),
}

# %% [markdown]
# ## Let Adam square a gradient in parts
#
# A batch in which one token comes several times, and the first update of its
# embedding. Adam should move it by one learning rate.


# %%
# --8<-- [start:in_parts]
def train_embedding(x, optimizer):
    embedding = keras.layers.Embedding(2, 1, embeddings_initializer="zeros")
    model = keras.Sequential([embedding, keras.layers.Flatten()])
    model.compile(optimizer, lambda labels, outputs: ops.mean(outputs))
    model.fit(x, x, batch_size=len(x), verbose=0)
    return embedding.get_weights()[0]


def adam():
    return keras.optimizers.Adam(EMBEDDING_RATE, epsilon=ADAM_EPSILON)


# --8<-- [end:in_parts]
# --8<-- [start:in_one]
def summing_adam():
    return sum_embedding_gradients_keras(adam())


# --8<-- [end:in_one]
same_token = np.zeros((NUM_OCCURRENCES, 1), dtype="int32")
for key, optimizer in (("in_parts", adam()), ("in_one", summing_adam())):
    observed[key] = -float(train_embedding(same_token, optimizer)[0, 0])

# %% [markdown]
# ## What was found

# %%
results = batch_mistakes_findings(observed)
