# %% [markdown]
# ## Settings
#
# The sizes, the targets and the rates that are tried. `SHORT = True` gives a
# run of seconds, to see it work; its numbers mean nothing.

# %%
from functools import partial
from itertools import product

import numpy as np
from sklearn.datasets import load_digits

from snippets.draw_mnist1d import draw_mnist1d
from snippets.stack_data_sets import stack_data_sets

SHORT = False

BATCH_SIZES = [4, 64, 1024] if SHORT else [1, 4, 16, 64, 256, 1024, 4096]
# Of the network: features, units of the hidden layers, classes.
LAYERS = {"mnist1d": [40, 32, 32, 10], "digits": [64, 32, 32, 10]}
# Examples: training, validation, test.
SPLITS = {
    "mnist1d": [1024, 80, 80] if SHORT else [4096, 500, 500],
    "digits": [1024, 380, 380],
}
# Loss on data that were not trained on, in nats.
TARGETS = {
    "mnist1d": {"early": 1.6, "late": 1.4},
    "digits": {"early": 1.0, "late": 0.35},
}
OPTIMIZERS = {"sgd": 0.0, "momentum": 0.9}
# Momentum is compared at the early target only, which takes less time.
STAGES = {"sgd": ["early", "late"], "momentum": ["early"]}
# Learning rates: a middle in proportion to the batch size up to a largest,
# and factors of two about it.
RATE_STEPS = [-2, -1, 0, 1, 2]
MIDDLE_RATES = {
    "mnist1d": {"sgd": (0.015, 1.0), "momentum": (0.0015, 0.4)},
    "digits": {"sgd": (0.04, 0.35), "momentum": (0.004, 0.15)},
}
NUM_SEEDS = 3 if SHORT else 10
# Of the weights, the data and the order of the examples.
FIRST_SEED = 200
SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
# Training gives up after so many examples or updates, whichever is later.
LARGEST_EXAMPLES = 500 if SHORT else 80_000
LARGEST_UPDATES = 60 if SHORT else 800
# Looks at the loss each time that the updates grow by a factor of two, from
# so many examples on: no run arrives earlier.
LOOKS_PER_DOUBLING = 2 if SHORT else 8
FIRST_LOOK_EXAMPLES = 4 if SHORT else 100
# Where the noise scale is measured: updates of plain SGD.
NOISE_BATCH_SIZE = 64
NOISE_RATES = {"mnist1d": 0.5, "digits": 0.25}
NOISE_UPDATES = [0, 4, 8] if SHORT else [0, 8, 16, 32, 64, 128, 256, 384]
NOISE_EXAMPLES = 1024
SMALL_BATCH_SIZE = 4
LARGE_BATCH_SIZE = 512
NUM_BATCHES = 20 if SHORT else 60
TIMED_RATE = 0.01
TIMED_SECONDS = 0.05 if SHORT else 0.15
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Data
#
# A data set for each seed: the digits in some order, or a new MNIST-1D.


# %%
def draw_digits(seed):
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    return x[order] / 16, y[order]


# Training, validation and test data, each (x, y): inputs [seeds, examples,
# features] and labels [seeds, examples].
draw = partial(draw_mnist1d, 1200 if SHORT else 6100)
data = {
    "mnist1d": stack_data_sets(draw, SEEDS, SPLITS["mnist1d"]),
    "digits": stack_data_sets(draw_digits, SEEDS, SPLITS["digits"]),
}


def sizes_for(name):
    return [size for size in BATCH_SIZES if size <= SPLITS[name][0]]


# %% [markdown]
# ## Training to the targets
#
# All rates and seeds of a batch size at once, until one rate has brought
# every seed to the last target. A rate that is slower cannot be the best.


# %%
def rates_for(name, optimizer, batch_size):
    """Learning rates to try, a factor of two apart."""
    per_example, largest = MIDDLE_RATES[name][optimizer]
    return min(per_example * batch_size, largest) * 2.0 ** np.array(RATE_STEPS)


def all_arrived(history, target):
    """Whether some rate has brought all its seeds to the target.

    A rate that has done so on the validation data must have done so on the
    test data too, as it may be the one that is chosen.
    """
    chosen, reported = (
        (np.fmin.reduce(history[part]["loss"]) <= target)
        .reshape(len(RATE_STEPS), NUM_SEEDS)
        .all(axis=1)
        for part in ("validation", "test")
    )
    return chosen.any() and reported[chosen].all()


def train_to_targets(train_rates, models_for, as_tensor):
    """{(data, optimizer, batch size): {"updates": [looks], "validation" and
    "test": loss [looks, rates, seeds]}}.

    train_rates: train_rates_keras or train_rates_torch.
    models_for: (data, number of rates) -> models, all seeds for each rate.
    as_tensor: makes what train_rates takes of a NumPy array.
    """
    runs, num_rates = {}, len(RATE_STEPS)
    for (name, parts), optimizer in product(data.items(), OPTIMIZERS):
        training, validation, test = (
            [as_tensor(np.concatenate([part] * num_rates)) for part in pair]
            for pair in parts
        )
        target = TARGETS[name][STAGES[optimizer][-1]]
        for size in sizes_for(name):
            last = max(LARGEST_UPDATES, LARGEST_EXAMPLES // size)
            looks = int(np.log2(last) * LOOKS_PER_DOUBLING) + 1
            looks = np.unique(np.geomspace(1, last, looks).round()).astype(int)
            looks = looks[looks * size >= FIRST_LOOK_EXAMPLES]
            rates = rates_for(name, optimizer, size)
            history = train_rates(
                models_for(name, num_rates),
                np.repeat(rates, NUM_SEEDS).tolist(),
                *training,
                [(last, size, 1.0)],
                looks.tolist(),
                {"validation": validation, "test": test},
                FIRST_SEED + size,
                momentum=OPTIMIZERS[optimizer],
                stop=partial(all_arrived, target=target),
            )
            losses = {part: found["loss"] for part, found in history.items()}
            made = len(losses["test"])
            runs[name, optimizer, size] = {"updates": looks[:made]} | {
                part: loss.reshape(made, num_rates, NUM_SEEDS)
                for part, loss in losses.items()
            }
        print("trained:", name, optimizer)
    return runs


# %% [markdown]
# ## Noise scale along training
#
# Exactly, from the gradient of each of `NOISE_EXAMPLES` examples, and by the
# two-batch estimator from gradients of whole batches.


# %%
def exact_noise_scale(weights, x, y):
    """Trace of the covariance of a gradient over the squared full gradient.

    weights: kernel [inputs, units] and bias [units] of each Dense layer, with
    ReLU between them; x [N, features], y [N]. Back-propagation by hand, in
    float64: the gradient of a kernel is an outer product, so the squared norm
    of one example's is the product of two squared norms.
    """
    kernels, biases = weights[::2], weights[1::2]
    inputs = [x.astype("float64")]
    for kernel, bias in zip(kernels[:-1], biases[:-1]):
        inputs.append(np.maximum(inputs[-1] @ kernel + bias, 0))
    outputs = inputs[-1] @ kernels[-1] + biases[-1]
    outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    back = outputs / outputs.sum(axis=1, keepdims=True)
    back[np.arange(len(y)), y] -= 1
    each, full = 0.0, 0.0
    for kernel, layer_input in zip(kernels[::-1], inputs[::-1]):
        squares = (layer_input**2).sum(axis=1) + 1
        each += ((back**2).sum(axis=1) * squares).mean()
        full += ((layer_input.T @ back / len(y)) ** 2).sum()
        full += (back.mean(axis=0) ** 2).sum()
        back = (back @ kernel.T) * (layer_input > 0)
    return (each - full) / full


def measure_noise(
    train_rates, models_for, as_tensor, weights_of, two_batch_noise_scale
):
    """{(data, updates): {"loss", "exact", "two_batch": [seeds]}}.

    weights_of: model -> kernels and biases, as NumPy arrays.
    two_batch_noise_scale: (model, inputs, labels, seed) -> the estimate;
        raises ValueError where so few batches do not settle it.
    """

    def estimate(*given):
        try:
            return two_batch_noise_scale(*given)
        except ValueError as error:
            print("not settled:", error)
            return np.nan

    noise = {}
    for name, parts in data.items():
        training, validation, _ = (map(as_tensor, pair) for pair in parts)
        training, validation = list(training), {"validation": [*validation]}
        x, y = (part[:, :NOISE_EXAMPLES] for part in parts[0])
        models, rates = models_for(name, 1), [NOISE_RATES[name]] * NUM_SEEDS
        loss = np.full(NUM_SEEDS, np.nan)
        for before, after in zip([0, *NOISE_UPDATES], NOISE_UPDATES):
            if after > before:
                phases = [(after - before, NOISE_BATCH_SIZE, 1.0)]
                how = phases, [after - before], validation, FIRST_SEED + after
                found = train_rates(models, rates, *training, *how)
                loss = found["validation"]["loss"][-1]
            noise[name, after] = {
                "loss": loss,
                "exact": np.array(
                    [
                        exact_noise_scale(weights_of(model), *examples)
                        for model, *examples in zip(models, x, y)
                    ]
                ),
                "two_batch": np.array(
                    [estimate(*given) for given in zip(models, x, y, SEEDS)]
                ),
            }
        print("noise scale measured:", name)
    return noise
