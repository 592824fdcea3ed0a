# --8<-- [start:checkpoint_activations_torch]
import functools

import torch
from torch.utils.checkpoint import checkpoint


def checkpoint_activations_torch(model, layers):
    """The same model, keeping less of the given layers while it trains.

    Of each, only the input is kept; the rest is computed again when the
    gradient needs it. That saves memory and costs time, up to one more
    forward pass. Outputs and gradients stay the same, dropout included.

    model: any torch.nn.Module, changed in place.
    layers: modules of the model, best its blocks, which hold several layers
        each. A single Linear or Conv2d gains nothing.
    Returns the model. Batch normalisation in such a block updates its running
    statistics twice for each batch. Without gradients, nothing changes.
    Raises ValueError where there are no layers, where one is not of this
    model, and where one is wrapped already.
    Source of the method: Chen et al. (2016), by way of
    torch.utils.checkpoint.
    """
    layers = list(layers)
    if not layers:
        raise ValueError("layers is empty; give at least 1 layer of the model")
    known = {id(each) for each in model.modules()}
    for layer in layers:
        if id(layer) not in known:
            raise ValueError(f"{type(layer).__name__} is not of this model")
        if getattr(layer, "checkpointed", False):
            raise ValueError(f"{type(layer).__name__} is checkpointed already")

    def wrap(forward):
        @functools.wraps(forward)
        def checkpointed(*args, **kwargs):
            if not torch.is_grad_enabled():
                return forward(*args, **kwargs)
            return checkpoint(forward, *args, use_reentrant=False, **kwargs)

        return checkpointed

    for layer in layers:
        layer.forward = wrap(layer.forward)
        layer.checkpointed = True
    return model


# --8<-- [end:checkpoint_activations_torch]
