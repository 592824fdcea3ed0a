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
import time
from importlib.util import find_spec

# Keras takes the backend that finds the GPU: TensorFlow, or else PyTorch.
if "KERAS_BACKEND" not in os.environ and find_spec("torch"):
    import tensorflow as tf
    import torch

    unseen = not tf.config.list_physical_devices("GPU")
    if unseen and torch.cuda.is_available():
        os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from keras import ops
from mnist1d.data import get_dataset_args, make_dataset
from scipy.optimize import least_squares

from snippets.mean_interval import mean_interval
from snippets.measure_noise_scale_keras import measure_noise_scale_keras

# %% [markdown]
# ## Settings
#
# A run on a CPU would take days. `SHORT = True` gives one of seconds on any
# machine, to see it work; its numbers mean nothing.

# %%
SHORT = False

# Examples for each update; for the transformer, texts.
BATCH_SIZES = [16, 64] if SHORT else [16, 64, 256, 1024, 4096]
# The most examples in one pass. A larger batch is accumulated from several.
MICRO_BATCH_SIZE = 32 if SHORT else 512
# Examples: training, validation, test. Whole batches, whatever their size.
SPLITS = {
    "transformer": [128, 64, 64] if SHORT else [131072, 2048, 2048],
    "cnn": [128, 64, 64] if SHORT else [40960, 4096, 4096],
}
# Characters in a text, and characters that there are.
TEXT_LENGTH = 8 if SHORT else 64
VOCABULARY = 16 if SHORT else 256
# The network that the language is drawn from, and how sharp it is.
LANGUAGE_UNITS = 16
LANGUAGE_SCALE = 3.0
EMBEDDING_SIZE = 16 if SHORT else 256
NUM_HEADS = 8
NUM_BLOCKS = 1 if SHORT else 4
# Standard deviation of the transformer's initial weights.
INITIAL_SPREAD = 0.02
NUM_FEATURES = 40
NUM_CLASSES = 10
NUM_CHANNELS = 16 if SHORT else 128
# Values that a convolution sees at once.
KERNEL_SIZE = 5
# The transformer's target lies between a table of pairs, 1, and the best
# possible model, 0. That of the convolutional network is a loss, in nats.
TARGET_SHARE = 1.8 if SHORT else 0.25
TARGET_LOSS = 2.27 if SHORT else 0.2
# Learning rates of Adam: so many factors of two to either side of a middle,
# which rises with the root of the batch size. Where the best lies on the
# edge, more are tried.
REFERENCE_BATCH_SIZE = 16 if SHORT else 256
MIDDLE_RATES = {"transformer": 0.001, "cnn": 0.002}
RATE_STEPS = 1 if SHORT else 2
MORE_RATES = 1 if SHORT else 4
# A run ends after so many updates, and after so many times the updates of
# its seed's quickest run so far, which is of this batch size or a smaller.
MOST_UPDATES = 50 if SHORT else 20000
PATIENCE_FACTOR = 3
# A look comes after this many times the updates of the one before.
LOOK_FACTOR = 1.1
# Sizes and number of the batches that the noise scale is measured with.
NOISE_BATCH_SIZES = [4, 64] if SHORT else [32, 512]
NOISE_BATCHES = 10 if SHORT else 100
# Language, MNIST-1D and initial weights are drawn anew for each seed.
NUM_SEEDS = 2 if SHORT else 3
FIRST_SEED = 500
# Set beforehand: "about in proportion" is an exponent beyond the first; to
# "gain little", one above the second; "near" is less than this factor.
NEARLY_PROPORTIONAL = -0.75
GAINS_LITTLE = -0.5
NEAR_FACTOR = 4.0

SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
NETWORKS = list(SPLITS)

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

# %% [markdown]
# ## A language for each seed
#
# The next character depends on the two before it, by a random network. So the
# loss of the best possible model is known.


# %%
def entropy(probabilities):
    """Along the last axis, in nats."""
    return -(probabilities * np.log(probabilities)).sum(axis=-1)


def draw_language(seed):
    """Texts [examples, TEXT_LENGTH + 1], and the target of the loss."""
    random = np.random.default_rng(seed)
    count, units = VOCABULARY, LANGUAGE_UNITS
    inward = random.normal(size=(2, count, units))
    outward = random.normal(size=(units, count)) / np.sqrt(units)
    hidden = np.tanh(inward[0][:, None] + inward[1][None])
    follow = np.exp(LANGUAGE_SCALE * hidden @ outward)
    # Probabilities [second last, last, next].
    follow /= follow.sum(axis=-1, keepdims=True)
    # How often each pair of characters stands in a long text.
    pairs = np.full((count, count), count**-2.0)
    for _ in range(30):
        pairs = np.einsum("ab,abc->bc", pairs, follow)
    best = (pairs * entropy(follow)).sum()
    # What is left to a model that sees one character.
    after_one = np.einsum("ab,abc->bc", pairs, follow)
    after_one /= after_one.sum(axis=1, keepdims=True)
    table = (pairs.sum(axis=0) * entropy(after_one)).sum()
    # One rising list over all pairs, so that a search finds the character.
    upper = follow.reshape(-1, count).cumsum(axis=1)
    upper = (upper + np.arange(len(upper))[:, None]).ravel()
    num_texts = sum(SPLITS["transformer"])
    pair = random.choice(count**2, size=num_texts, p=pairs.ravel())
    text = [pair % count]
    for _ in range(TEXT_LENGTH):
        found = np.searchsorted(upper, pair + random.random(num_texts))
        character = (found - pair * count).clip(0, count - 1)
        text.append(character)
        pair = pair % count * count + character
    return np.stack(text, axis=1), best + TARGET_SHARE * (table - best)


def draw_digits(seed):
    """Inputs [examples, features] and labels [examples] of MNIST-1D."""
    arguments = get_dataset_args()
    arguments.seed = seed
    # A tenth of each class goes to the package's own test set.
    arguments.num_samples = sum(SPLITS["cnn"]) // 10 * 10 + 10
    made = make_dataset(arguments)
    return [
        np.concatenate([made[key], made[f"{key}_test"]])[: sum(SPLITS["cnn"])]
        for key in "xy"
    ]


def in_parts(name, x, y):
    """{"training", "validation" and "test": (inputs, labels)}."""
    ends = np.cumsum(SPLITS[name])[:-1]
    parts = zip(np.split(x, ends), np.split(y, ends))
    return dict(zip(("training", "validation", "test"), parts))


data, targets = {}, {}
for seed in SEEDS:
    texts, targets["transformer", seed] = draw_language(seed)
    texts = texts.astype("int32")
    data["transformer", seed] = in_parts(
        "transformer", texts[:, :-1], texts[:, 1:]
    )
    x, y = draw_digits(seed)
    data["cnn", seed] = in_parts("cnn", x.astype("float32"), y.astype("int32"))
    targets["cnn", seed] = TARGET_LOSS
    print("drawn: data of seed", seed)

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

    def noise_scale(self):
        return measure_noise_scale_keras(
            self.model,
            loss_function,
            *self.data["training"],
            *NOISE_BATCH_SIZES,
            NOISE_BATCHES,
        )["noise_scale"]


num_weights = {
    name: build(0).count_params() for name, build in builders.items()
}
print("weights:", num_weights)

# %% [markdown]
# ## Train
#
# One run after another, each until it has reached the target on validation
# and on test data.


# %%
def batches(count, size, seed):
    """Numbers of the examples of each update, in a new order each epoch."""
    random = np.random.default_rng(seed)
    while True:
        yield from random.permutation(count).reshape(-1, size)


def updates_to_target(training, seed, rate, most):
    """{"validation" and "test": updates}; nan where it was not reached.

    Between two looks it is interpolated, in log updates.
    """
    training.start(seed, rate)
    target = targets[training.name, seed]
    arrived = {"validation": np.nan, "test": np.nan}
    before = {part: (1, training.loss(part)) for part in arrived}
    count, look = SPLITS[training.name][0], 1
    numbers = batches(count, training.batch_size, seed)
    for updates, batch in enumerate(numbers, start=1):
        training.update(batch)
        if updates < min(look, most):
            continue
        look = max(updates + 1, int(LOOK_FACTOR * updates))
        for part, (then, higher) in before.items():
            loss = training.loss(part)
            before[part] = (updates, loss)
            if np.isnan(arrived[part]) and loss <= target:
                share = (higher - target) / max(higher - loss, 1e-12)
                arrived[part] = then * (updates / then) ** np.clip(share, 0, 1)
        finite = all(np.isfinite(loss) for _, loss in before.values())
        done = not np.isnan(list(arrived.values())).any()
        if done or updates >= most or not finite:
            return arrived


def rate_of(name, size, step):
    """The learning rate so many factors of two above the middle."""
    root = (size / REFERENCE_BATCH_SIZE) ** 0.5
    return MIDDLE_RATES[name] * root * 2.0**step


def best_step(found):
    """The rate at which all seeds are soonest there, or None."""
    mean = {
        step: np.log(arrived["validation"]).mean()
        for step, arrived in found.items()
    }
    reached = [step for step in mean if np.isfinite(mean[step])]
    return min(reached, key=mean.get, default=None)


def next_step(found):
    """A rate that is still to be tried, or None."""
    # From the middle outwards, so that what is slow is given up early.
    for step in sorted(range(-RATE_STEPS, RATE_STEPS + 1), key=abs):
        if step not in found:
            return step
    best = best_step(found)
    if best is None or len(found) > 2 * RATE_STEPS + MORE_RATES:
        return None
    outside = {min(found): min(found) - 1, max(found): max(found) + 1}
    return outside.get(best)


# {(network, size): {step: {"validation" and "test": [seeds]}}}.
runs = {}
trainings = {
    (name, size): Training(name, size)
    for name in NETWORKS
    for size in BATCH_SIZES
}
left = len(NETWORKS) * len(BATCH_SIZES) * (2 * RATE_STEPS + 1) * NUM_SEEDS
for name in NETWORKS:
    quickest = dict.fromkeys(SEEDS, np.inf)
    for size in BATCH_SIZES:
        training = trainings[name, size]
        found = runs[name, size] = {}
        while (step := next_step(found)) is not None:
            found[step] = {"validation": [], "test": []}
            if abs(step) > RATE_STEPS:
                left += NUM_SEEDS
            for seed in SEEDS:
                start, rate = time.perf_counter(), rate_of(name, size, step)
                most = min(MOST_UPDATES, PATIENCE_FACTOR * quickest[seed])
                arrived = updates_to_target(training, seed, rate, most)
                for part, updates in arrived.items():
                    found[step][part].append(updates)
                    quickest[seed] = np.fmin(quickest[seed], updates)
                left -= 1
                print(
                    f"{name}, size {size}, rate {rate:.2g}, seed {seed}: "
                    f"{arrived['test']:.0f} updates, "
                    f"{time.perf_counter() - start:.0f} s; "
                    f"{left} runs left, more where the best is on an edge"
                )

# %% [markdown]
# ## Noise scale
#
# Of the initial weights, and of weights that have just reached the target.


# %%
def noise_scale(training):
    """In examples; nan where so few batches do not settle it."""
    try:
        return training.noise_scale()
    except ValueError as error:
        print("not settled:", error)
        return np.nan


noise_size = min(REFERENCE_BATCH_SIZE, BATCH_SIZES[-1])
noise = {}
for name in NETWORKS:
    training = trainings[name, noise_size]
    step = best_step(runs[name, noise_size]) or 0
    at_start, at_target = [], []
    for seed in SEEDS:
        rate = rate_of(name, noise_size, step)
        training.start(seed, rate)
        at_start.append(noise_scale(training))
        arrived = updates_to_target(training, seed, rate, MOST_UPDATES)
        there = np.isfinite(arrived["test"])
        at_target.append(noise_scale(training) if there else np.nan)
    noise[name] = {"start": np.array(at_start), "target": np.array(at_target)}
    print("noise scale measured:", name)

# %% [markdown]
# ## Measure
#
# The rate of a batch size is the one with which the seeds are soonest at the
# target on validation data; the updates reported are those on test data.

# %%
FEW = {"because": "three seeds: each run takes minutes"}
NOT_REACHED = "not every seed reached the target"
NOT_SETTLED = "in some runs so few batches did not settle it"
values = {}


def put(key, samples, unit, ratio=False, missing=NOT_REACHED):
    """Store the mean over the seeds with its interval.

    missing: the reason to give where a seed has no number.
    """
    samples = np.asarray(samples, dtype=float)
    good = np.isfinite(samples) & ((samples > 0) | (not ratio))
    if not good.all():
        values[key] = {"value": None, "unit": unit, "reason": missing}
        return
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW


def put_exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def best_rates(name, size):
    """Best rate of each seed: the lowest point of a parabola.

    It goes through the logarithms of the fewest updates and of those at the
    rates beside it, so that the answer is not bound to the grid.
    """
    found, rates = runs[name, size], []
    for number in range(NUM_SEEDS):
        logs = {
            step: np.log(arrived["validation"][number])
            for step, arrived in found.items()
        }
        reached = [step for step in logs if np.isfinite(logs[step])]
        if not reached:
            return np.full(NUM_SEEDS, np.nan)
        best = min(reached, key=logs.get)
        left, right = (logs.get(best + side, np.nan) for side in (-1, 1))
        bend = left - 2 * logs[best] + right
        # Beside a run that was given up, the grid's own rate is kept.
        shift = (left - right) / (2 * bend) if bend > 0 else 0.0
        rates.append(rate_of(name, size, best + np.clip(shift, -1, 1)))
    return np.array(rates)


def slope(sizes, samples):
    """Exponent of the batch size, by least squares on logarithms [seeds]."""
    return np.polyfit(np.log(sizes), np.log(samples), 1)[0]


def hyperbola(updates):
    """Least updates and critical batch size, from those of one seed."""
    result = least_squares(
        lambda both: (
            both[0]
            + np.log1p(np.exp(both[1]) / np.array(BATCH_SIZES))
            - np.log(updates)
        ),
        np.log([updates[-1], REFERENCE_BATCH_SIZE]),
    )
    return np.exp(result.x)


inside, updates_of = {}, {}
for name in NETWORKS:
    put_exact(f"weights.{name}", num_weights[name], "weights")
    goals = [targets[name, seed] for seed in SEEDS]
    if len(set(goals)) == 1:
        put_exact(f"target.{name}", goals[0], "nats")
    else:
        put(f"target.{name}", goals, "nats")
    for size in BATCH_SIZES:
        count = SPLITS[name][0]
        put_exact(f"updates_per_epoch.{name}.{size}", count // size, "updates")
        found = runs[name, size]
        step = best_step(found)
        key = f"rate.{name}.{size}"
        put(key, best_rates(name, size), "rate", ratio=True)
        inside[key] = step is not None and min(found) < step < max(found)
        updates = np.full(NUM_SEEDS, np.nan)
        if step is not None:
            updates = np.array(found[step]["test"])
        updates_of[name, size] = updates
        put(f"updates.{name}.{size}", updates, "updates", ratio=True)
        put(f"epochs.{name}.{size}", updates * size / count, "epochs", True)
    # [sizes, seeds].
    each = np.array([updates_of[name, size] for size in BATCH_SIZES])
    rates = np.array([best_rates(name, size) for size in BATCH_SIZES])
    fits = np.full((2, NUM_SEEDS), np.nan)
    exponents = small = large = fits[0]
    if np.isfinite(each).all():
        fits = np.array([hyperbola(row) for row in each.T]).T
        small = slope(BATCH_SIZES[:2], each[:2])
        large = slope(BATCH_SIZES[-2:], each[-2:])
    if np.isfinite(rates).all():
        exponents = slope(BATCH_SIZES, rates)
    put(f"floor.{name}", fits[0], "updates", ratio=True)
    put(f"critical.{name}", fits[1], "examples", ratio=True)
    put(f"exponent.{name}", exponents, "1")
    put(f"slope.small.{name}", small, "1")
    put(f"slope.large.{name}", large, "1")
    start, end = noise[name]["start"], noise[name]["target"]
    for stage, samples in noise[name].items():
        put(
            f"noise_scale.{name}.{stage}",
            samples,
            "examples",
            True,
            NOT_SETTLED,
        )
    put(f"noise_growth.{name}", end / start, "ratio", True, NOT_SETTLED)
    put(
        f"critical_over_noise.{name}", fits[1] / end, "ratio", True, NOT_SETTLED
    )

for key, entry in values.items():
    if entry["value"] is not None:
        interval = [f"{end:.4g}" for end in entry.get("ci", [])]
        print(f"{key:36}{entry['value']:12.4g}", *interval)

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side of the margin.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


for name in NETWORKS:
    key = f"slope.small.{name}"
    holds = high(key) < NEARLY_PROPORTIONAL
    judge(f"small_sizes_gain_in_proportion.{name}", holds, key)
    key = f"slope.large.{name}"
    judge(f"large_sizes_gain_little.{name}", low(key) > GAINS_LITTLE, key)
    key = f"critical.{name}"
    holds = BATCH_SIZES[0] < low(key) and high(key) < BATCH_SIZES[-1]
    judge(f"critical_size_lies_inside.{name}", holds, key)
    key = f"exponent.{name}"
    holds = 0 < low(key) and high(key) < 1
    judge(f"rate_rises_less_than_the_batch.{name}", holds, key)
    key = f"noise_growth.{name}"
    judge(f"noise_scale_grows.{name}", low(key) > 1, key)
    key = f"critical_over_noise.{name}"
    holds = 1 / NEAR_FACTOR < low(key) and high(key) < NEAR_FACTOR
    judge(f"noise_scale_is_near_the_critical_size.{name}", holds, key)
judge("rates_lie_inside_their_grids", all(inside.values()), *inside)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)
print("on the edge:", [key for key, holds in inside.items() if not holds])

# %% [markdown]
# ## Results

# %%
series = {}


def put_series(name, x, entries):
    """Store values with their intervals; what is missing leaves a gap."""
    ends = [entry.get("ci") or [None, None] for entry in entries]
    series[name] = {
        "x": x,
        "y": [entry["value"] for entry in entries],
        "low": [end[0] for end in ends],
        "high": [end[1] for end in ends],
        "unit": entries[0]["unit"],
    }


for name in NETWORKS:
    for kind in ("updates", "epochs", "rate"):
        entries = [values[f"{kind}.{name}.{size}"] for size in BATCH_SIZES]
        put_series(f"{kind}.{name}", BATCH_SIZES, entries)
    # The map: updates to the target against the learning rate.
    for size in BATCH_SIZES:
        steps = sorted(runs[name, size])
        logs = [np.log(runs[name, size][step]["test"]) for step in steps]
        means = [np.exp(row.mean()) for row in logs]
        series[f"map.{name}.{size}"] = {
            "x": [rate_of(name, size, step) for step in steps],
            "y": [mean if np.isfinite(mean) else None for mean in means],
            "unit": "updates",
        }

results = {"values": values, "judgements": judgements, "series": series}
