# --8<-- [start:normalise_ghost_batches_keras]
from keras import ops


def normalise_ghost_batches_keras(x, gamma, beta, ghost_size, epsilon=1e-5):
    """Batch normalisation over parts of the batch, as in training.

    Each part of ghost_size examples, in their order, is normalised by its
    own mean and variance. Accumulation and several devices do the same to a
    large batch when the network has plain batch normalisation.

    x: [..., batch, features]; axes in front are further, separate batches.
    gamma, beta: scale and shift, [features] or any shape that broadcasts.
    ghost_size: examples in a part; it must divide the batch.
    epsilon: added to the variance.
    Returns (normalised, means, variances): like x, and [..., parts, features]
    each, for running statistics. The variances divide by ghost_size.
    Raises ValueError for a ghost_size below one or not dividing the batch.
    Method: Hoffer, Hubara and Soudry (2017), ghost batch normalisation.
    """
    batch_size, features = x.shape[-2:]
    if ghost_size < 1 or batch_size < 1 or batch_size % ghost_size:
        raise ValueError(
            f"ghost_size={ghost_size} must be at least 1 and divide the batch "
            f"of {batch_size} examples"
        )
    num_parts = batch_size // ghost_size
    parts = ops.reshape(x, (*x.shape[:-2], num_parts, ghost_size, features))
    means = ops.mean(parts, axis=-2, keepdims=True)
    centred = parts - means
    variances = ops.mean(ops.square(centred), axis=-2, keepdims=True)
    normalised = centred * ops.rsqrt(variances + epsilon)
    return (
        ops.reshape(normalised, x.shape) * gamma + beta,
        ops.squeeze(means, axis=-2),
        ops.squeeze(variances, axis=-2),
    )


# --8<-- [end:normalise_ghost_batches_keras]
