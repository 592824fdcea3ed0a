# %% [markdown]
# # Language models: one example per update (Keras)
#
# Trains a small language model with one to many sequences per update, with
# SGD and with Adam, and asks what is lost with one.
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
from keras import ops

from language_models_findings import language_models_findings
from language_models_problem import *

# %% [markdown]
# ## Network
#
# Two characters in, one-hot; one hidden layer; a score for each next
# character. The loss takes logits; a softmax would change nothing else.


# %%
def build_model(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((2 * NUM_CHARACTERS,)),
            keras.layers.Dense(
                HIDDEN_UNITS, activation="relu", kernel_initializer="he_uniform"
            ),
            keras.layers.Dense(NUM_CHARACTERS),
        ]
    )


# %% [markdown]
# ## Time an update
#
# Of plain `train_on_batch`.


# %%
def prepare(x, y):
    model = build_model(FIRST_SEED)
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: model.train_on_batch(x, y)


update_seconds = time_updates(prepare)

# %% [markdown]
# ## Train
#
# All rates and seeds of a batch size are trained at once, with stacked
# weights. The optimizer is Keras's own, at a rate of one; it moves what is
# then multiplied by each model's rate. That is exact for SGD and Adam.

# %%
models = [build_model(seed) for seed in SEEDS]
initial = [
    ops.convert_to_tensor(np.tile(weights, (NUM_RATES, *[1] * weights[0].ndim)))
    for weights in zip(*(model.get_weights() for model in models))
]
features = ops.convert_to_tensor(all_pairs)


def scores_of(weights, inputs):
    kernel, bias, last_kernel, last_bias = weights
    hidden = ops.relu(ops.matmul(inputs, kernel) + bias[:, None])
    return ops.matmul(hidden, last_kernel) + last_bias[:, None]


class Replicas:
    """All rates and seeds of one optimizer, compiled for all batch sizes."""

    def __init__(self, beta):
        # Rates are set anew for each batch size.
        self.rates = keras.Variable(np.ones(NUM_RATES * NUM_SEEDS, "float32"))
        self.travelled = [keras.Variable(ops.zeros_like(w)) for w in initial]
        self.optimizer = keras.optimizers.SGD(1.0)
        if beta is not None:
            self.optimizer = keras.optimizers.Adam(1.0, beta_2=beta)
        self.optimizer.build(self.travelled)
        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            count = tf.TensorSpec([], tf.int32)
            pairs = tf.TensorSpec([None, NUM_SEEDS, None], tf.int32)
            shares = tf.TensorSpec(
                [None, NUM_SEEDS, None, NUM_CHARACTERS], tf.float32
            )

            # One call runs every update up to the next look.
            @tf.function(
                input_signature=[count, count, pairs, shares], autograph=False
            )
            def advance(first, end, pairs, shares):
                def one_update(number):
                    with tf.GradientTape() as tape:
                        weights = self.now()
                        tape.watch(weights)
                        loss = self.loss(weights, pairs[number], shares[number])
                    self.move(tape.gradient(loss, weights))
                    return [number + 1]

                tf.while_loop(lambda number: number < end, one_update, [first])

        elif backend == "torch":
            import torch

            def advance(first, end, pairs, shares):
                for number in range(first, end):
                    weights = [w.detach().requires_grad_() for w in self.now()]
                    loss = self.loss(weights, pairs[number], shares[number])
                    gradients = torch.autograd.grad(loss, weights)
                    with torch.no_grad():
                        self.move(gradients)

        else:
            raise ValueError(
                f"no path for the {backend} backend; use tensorflow or torch"
            )
        self.advance = advance

    def begin(self, rates):
        """Back to the initial weights, with these learning rates."""
        self.rates.assign(np.repeat(rates, NUM_SEEDS).astype("float32"))
        for variable in self.travelled + self.optimizer.variables:
            variable.assign(ops.zeros_like(variable.value))
        self.optimizer.learning_rate = 1.0

    def now(self):
        def rates(weights):
            shape = (-1, *[1] * (len(weights.shape) - 1))
            return ops.reshape(self.rates.value, shape)

        return [
            weights + rates(weights) * moved.value
            for weights, moved in zip(initial, self.travelled)
        ]

    def move(self, gradients):
        self.optimizer.apply(gradients, self.travelled)

    def loss(self, weights, pairs, shares):
        inputs = ops.take(features, pairs, axis=0)
        scores = scores_of(weights, ops.tile(inputs, (NUM_RATES, 1, 1)))
        shares = ops.tile(shares, (NUM_RATES, 1, 1))
        # Each model's own mean; their gradients do not mix in a sum.
        return -ops.sum(shares * ops.log_softmax(scores, axis=-1))

    def look(self):
        weights = [ops.stop_gradient(weight) for weight in self.now()]
        inputs = ops.broadcast_to(
            features, (NUM_RATES * NUM_SEEDS, *features.shape)
        )
        found = ops.log_softmax(scores_of(weights, inputs), axis=-1)
        return excess_loss(ops.convert_to_numpy(found))


# Compiling takes longer than a pass at most sizes.
compiled = {}


def train(beta, rates, pairs, shares, looks):
    if beta not in compiled:
        compiled[beta] = Replicas(beta)
    replicas = compiled[beta]
    replicas.begin(rates)
    pairs, shares = map(ops.convert_to_tensor, (pairs, shares))
    found = []
    for first, end in zip([0, *looks], looks):
        replicas.advance(first, end, pairs, shares)
        found.append(replicas.look())
    return found


excess = train_all(train)

# %% [markdown]
# ## What was found

# %%
results = language_models_findings(update_seconds, excess)
