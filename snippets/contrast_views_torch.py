# --8<-- [start:contrast_views_torch]
import math

import torch
from torch.nn import functional


def contrast_views_torch(first, second, temperature=0.5):
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
    that is not above 0, and a loss that is not finite.
    Method: NT-Xent of Chen et al. (2020), "SimCLR".
    """
    if first.shape != second.shape or first.ndim < 2:
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

    views = torch.cat([first, second], dim=-2)
    views = functional.normalize(views, dim=-1)
    similarity = views @ views.mT / temperature
    # A view is no candidate for itself.
    itself = torch.eye(2 * pairs, dtype=torch.bool, device=views.device)
    candidates = similarity.masked_fill(itself, -math.inf)
    partners = views[..., :pairs, :] * views[..., pairs:, :]
    agreement = partners.sum(dim=-1) / temperature
    loss = candidates.logsumexp(dim=-1).mean(dim=-1) - agreement.mean(dim=-1)
    if not loss.isfinite().all():
        raise ValueError(
            f"the loss is {loss}; it must be finite: look at the embeddings"
        )
    return loss


# --8<-- [end:contrast_views_torch]
