# --8<-- [start:measure_throughput_keras]
import gc
import time

import numpy as np
from keras import ops
from scipy.optimize import nnls


def measure_throughput_keras(
    model, x, y, batch_sizes, num_repeats=10, block_seconds=0.05, seed=0
):
    """Examples per second of training at several batch sizes, and the knee.

    An update takes about t0 + t1 * B seconds at batch size B. At the knee,
    B = t0 / t1, half of that is the fixed cost: there you have half of the
    rate that ever larger batches approach.

    model: a built and compiled keras model, trained by train_on_batch. What
        compile() was given is measured too: metrics take time.
    x, y: inputs and labels, arrays; the first B of them are the batch of
        size B. They are tensors before the clock starts, so feeding the
        device is left out.
    batch_sizes: 3 or more, far apart, such as 1, 8, 64, 512.
    num_repeats: blocks of updates for each size, at least 5; sizes take turns
        in random order.
    block_seconds: how long a block lasts at least.
    Returns a dict: seconds, {size: array of seconds per update, one for each
    repeat}; first_seconds, {size: its first update, left out of the others};
    examples_per_second, {size: median}; fixed_seconds, t0;
    seconds_per_example, t1; knee in examples with low and high, its 95 %
    interval, inf where the time does not grow with the batch; misfit, the
    largest relative distance of the line from a median. Model and optimizer
    stay as they were; metrics are reset.
    Raises ValueError for sizes, data and models it cannot use.
    Method: line by least squares of the relative error, t0 and t1 not
    negative; interval by the bootstrap over repeats.
    """
    sizes = [int(size) for size in batch_sizes]
    if len(set(sizes)) != len(sizes) or len(sizes) < 3 or min(sizes) < 1:
        raise ValueError(
            f"batch_sizes={list(batch_sizes)}: give at least 3, all different "
            "and at least 1"
        )
    if num_repeats < 5:
        raise ValueError(f"num_repeats={num_repeats} must be at least 5")
    if not block_seconds >= 0:
        raise ValueError(f"block_seconds={block_seconds} must not be negative")
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, but y has {len(y)} labels")
    if len(x) < max(sizes):
        raise ValueError(
            f"the data have {len(x)} examples; the largest batch size may be "
            f"at most as large, not {max(sizes)}"
        )
    if not model.trainable_variables or not model.compiled:
        raise ValueError(
            f"the model has {len(model.trainable_variables)} trainable "
            f"weights and compiled={model.compiled}; build and compile it "
            "first"
        )
    batches = {
        size: [ops.convert_to_tensor(each[:size]) for each in (x, y)]
        for size in sizes
    }

    def seconds_per_update(size, num_updates):
        start = time.perf_counter()
        for _ in range(num_updates):
            # Gives the loss as a number, so it waits for a GPU.
            model.train_on_batch(*batches[size])
        return (time.perf_counter() - start) / num_updates

    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = model.variables + model.optimizer.variables
    before = [ops.convert_to_numpy(variable).copy() for variable in variables]
    collecting = gc.isenabled()
    random = np.random.default_rng(seed)
    seconds = np.empty((num_repeats, len(sizes)))
    first, num_updates = {}, {}
    try:
        gc.disable()
        for size in sizes:
            first[size] = seconds_per_update(size, 1)
            later = min(seconds_per_update(size, 1) for _ in range(2))
            num_updates[size] = max(1, int(np.ceil(block_seconds / later)))
        for repeat in range(num_repeats):
            for index in random.permutation(len(sizes)):
                size = sizes[index]
                seconds[repeat, index] = seconds_per_update(
                    size, num_updates[size]
                )
    finally:
        if collecting:
            gc.enable()
        for variable, value in zip(variables, before):
            variable.assign(value)
        model.reset_metrics()

    def fit(times):
        rows = np.stack([1 / times, np.array(sizes) / times], axis=1)
        return nnls(rows, np.ones(len(sizes)))[0]

    def knee_of(fixed, each):
        # Less than rounding leaves is no slope.
        grows = each * max(sizes) > 1e-6 * fixed
        return float(fixed / each) if grows else np.inf

    medians = np.median(seconds, axis=0)
    fixed, each = fit(medians)
    knee = knee_of(fixed, each)
    drawn = random.integers(num_repeats, size=(1000, num_repeats))
    knees = [knee_of(*fit(np.median(seconds[d], axis=0))) for d in drawn]
    # Neither end lies between two knees, one of which may be infinite.
    low = np.quantile(knees, 0.025, method="lower")
    high = np.quantile(knees, 0.975, method="higher")
    return {
        "seconds": dict(zip(sizes, seconds.T)),
        "first_seconds": first,
        "examples_per_second": {
            size: float(size / median) for size, median in zip(sizes, medians)
        },
        "fixed_seconds": float(fixed),
        "seconds_per_example": float(each),
        "knee": knee,
        "low": float(min(low, knee)),
        "high": float(max(high, knee)),
        "misfit": float(
            max(abs((fixed + each * np.array(sizes)) / medians - 1))
        ),
    }


# --8<-- [end:measure_throughput_keras]
