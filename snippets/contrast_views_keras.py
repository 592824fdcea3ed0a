# --8<-- [start:contrast_views_keras]
import math

import keras
from keras import ops


def contrast_views_keras(first, second, temperature=0.5):
    """The InfoNCE loss of a batch whose other views are the negatives.

    Each view has to find its partner among the other 2 B - 1 views of the
    batch, so B is part of what is learned. Chance is log(2 B - 1).

    first, second: [B, dimensions], the embeddings of two views of the same B
        examples, in the same order; any length, they are normalised here.
        Further dimensions in front stand for more batches.
    temperature: what the cosines are divided by; above 0.
    Returns the mean loss over the 2 B views, in nats: a scalar, or one for each
    batch.
    Raises ValueError for other shapes, fewer than two pairs, a temperature
    that is not above 0, and a loss that is not finite. Inside a compiled
    function the loss has no value yet; there, look at it yourself.
    Method: NT-Xent of Chen et al. (2020), "SimCLR".
    """
    first, second = map(ops.convert_to_tensor, (first, second))
    if first.shape != second.shape or len(first.shape) < 2:
        raise ValueError(
            f"the views have shapes {tuple(first.shape)} and "
            f"{tuple(second.shape)}; give [B, dimensions] twice"
        )
    pairs = first.shape[-2]
    if pairs < 2:
        raise ValueError(f"{pairs} pairs have no negatives; give at least 2")
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature={temperature} must be above 0 and finite"
        )

    views = ops.concatenate([first, second], axis=-2)
    views = keras.utils.normalize(views, axis=-1)
    similarity = ops.matmul(views, ops.swapaxes(views, -1, -2)) / temperature
    # A view is no candidate for itself.
    itself = ops.eye(2 * pairs, dtype="bool")
    candidates = ops.where(itself, -math.inf, similarity)
    partners = views[..., :pairs, :] * views[..., pairs:, :]
    agreement = ops.sum(partners, axis=-1) / temperature
    loss = ops.mean(ops.logsumexp(candidates, axis=-1), axis=-1)
    loss = loss - ops.mean(agreement, axis=-1)
    try:
        finite = bool(ops.all(ops.isfinite(loss)))
    except TypeError:
        # A compiled function is being traced.
        finite = True
    if not finite:
        raise ValueError(
            f"the loss is {loss}; it must be finite: look at the embeddings"
        )
    return loss


# --8<-- [end:contrast_views_keras]
