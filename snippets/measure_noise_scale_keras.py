# --8<-- [start:measure_noise_scale_keras]
import keras
import numpy as np
from keras import ops
from scipy import stats


def measure_noise_scale_keras(
    model,
    loss_function,
    x,
    y,
    small_batch_size,
    large_batch_size,
    num_batches,
    seed=0,
):
    """Gradient noise scale of a model: trace of covariance / squared norm.

    It is the batch size, in examples, at which the mini-batch gradient holds
    as much noise as signal. Costs num_batches gradients of either size.

    model: any built keras model, on the TensorFlow or the torch backend.
        Gradients are taken with training=False, without dropout and with
        the stored statistics of batch normalisation, so that no example's
        gradient depends on the others; regularisers are left out.
    loss_function: (labels, outputs) -> mean loss of the batch, or the loss
        of each example. A sum over the batch would give a wrong answer.
    x, y: N inputs and N labels, arrays. Batches are drawn with replacement:
        exactly right for these N examples at any batch size.
    small_batch_size, large_batch_size: far apart, such as 16 and 256.
    num_batches: of either size, at least 2; a hundred is a good beginning.
    Returns a dict: noise_scale; low and high, its 95 % interval; trace of
    the covariance of one example's gradient, and squared_norm of the true
    gradient, in units of loss squared per parameter squared. low is 0
    and high inf where so few batches do not bound the ratio at all. The model
    stays as it was.
    Raises ValueError for sizes, data, models, losses and backends it cannot
    measure, and where the estimate of the squared norm is not above 0.
    Method: McCandlish et al. (2018), appendix A.1, from the squared norms
    at two batch sizes, numerator and denominator averaged apart; interval
    by the jackknife over pairs of batches, on the logarithm of the ratio.
    """
    if not 1 <= small_batch_size < large_batch_size:
        raise ValueError(
            f"small_batch_size={small_batch_size} must be at least 1 and "
            f"below large_batch_size={large_batch_size}"
        )
    if num_batches < 2:
        raise ValueError(f"num_batches={num_batches} must be at least 2")
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, but y has {len(y)} labels")
    if len(x) < large_batch_size:
        raise ValueError(
            f"the data have {len(x)} examples; large_batch_size="
            f"{large_batch_size} may be at most as large"
        )
    variables = model.trainable_variables
    if not variables:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed "
            "(a model that is not built has none yet)"
        )

    def loss_of(inputs, labels):
        outputs = model(inputs, training=False)
        return ops.mean(loss_function(labels, outputs))

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Compiled once for each of the two batch sizes.
        @tf.function(autograph=False)
        def loss_and_squared_norm(inputs, labels):
            with tf.GradientTape() as tape:
                loss = loss_of(inputs, labels)
            gradients = tape.gradient(
                loss, variables, unconnected_gradients="zero"
            )
            squares = [
                tf.reduce_sum(tf.cast(tf.convert_to_tensor(g), "float64") ** 2)
                for g in gradients
            ]
            return loss, tf.add_n(squares)

    elif backend == "torch":
        import torch

        def loss_and_squared_norm(inputs, labels):
            with torch.enable_grad():
                loss = loss_of(inputs, labels)
                gradients = torch.autograd.grad(
                    loss, [each.value for each in variables], allow_unused=True
                )
            squares = [
                g.double().square().sum() for g in gradients if g is not None
            ]
            return loss.detach(), sum(squares)

    else:
        raise ValueError(
            f"no path for the {backend} backend; use tensorflow or torch"
        )

    x, y = ops.convert_to_numpy(x), ops.convert_to_numpy(y)
    random = np.random.default_rng(seed)

    def squared_gradient_norm(batch_size):
        chosen = random.integers(len(x), size=batch_size)
        loss, squared_norm = loss_and_squared_norm(
            ops.convert_to_tensor(x[chosen]), ops.convert_to_tensor(y[chosen])
        )
        if not np.isfinite(float(loss)):
            raise ValueError(f"the loss is {float(loss)}; it must be finite")
        return float(squared_norm)

    small, large = np.array(
        [
            [
                squared_gradient_norm(small_batch_size),
                squared_gradient_norm(large_batch_size),
            ]
            for _ in range(num_batches)
        ]
    ).T

    # Averaging B gradients leaves squared norm + trace / B, for either size.
    norms = large_batch_size * large - small_batch_size * small
    norms /= large_batch_size - small_batch_size
    traces = (small - large) / (1 / small_batch_size - 1 / large_batch_size)
    norm, trace = norms.mean(), traces.mean()
    if not norm > 0:
        raise ValueError(
            f"the squared gradient norm is estimated as {norm:.3g}; it must "
            f"be above 0: use more than num_batches={num_batches} batches, "
            f"or a larger large_batch_size than {large_batch_size}"
        )
    # The jackknife: what the ratio would be without each pair of batches.
    scale, low, high = trace / norm, 0.0, np.inf
    others = (traces.sum() - traces) / (norms.sum() - norms)
    if scale > 0 and (others > 0).all():
        error = np.sqrt((num_batches - 1) * np.var(np.log(others)))
        factor = np.exp(error * stats.t.ppf(0.975, num_batches - 1))
        low, high = scale / factor, scale * factor
    return {
        "noise_scale": float(scale),
        "low": float(low),
        "high": float(high),
        "trace": float(trace),
        "squared_norm": float(norm),
    }


# --8<-- [end:measure_noise_scale_keras]
