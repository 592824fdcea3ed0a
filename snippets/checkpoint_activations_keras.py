# --8<-- [start:checkpoint_activations_keras]
import functools

import keras


def checkpoint_activations_keras(model, layers):
    """The same model, keeping less of the given layers while it trains.

    Of each, only the input is kept; the rest is computed again when the
    gradient needs it. That saves memory and costs time, up to one more
    forward pass. Outputs and gradients stay the same.

    model: a built keras model, changed in place. Do this before training
        and before compile.
    layers: layers of the model, best its blocks: nested models that hold
        several layers each. A single Dense or Conv2D gains nothing.
    Returns the model. Batch normalisation in such a block may update its
    running statistics twice for each batch.
    Raises ValueError where there are no layers, where one is not of this
    model, and where one is wrapped already.
    Source of the method: Chen et al. (2016), by way of keras.remat.
    """
    layers = list(layers)
    if not layers:
        raise ValueError("layers is empty; give at least 1 layer of the model")
    known = {id(each) for each in model._flatten_layers()}
    for layer in layers:
        if id(layer) not in known:
            raise ValueError(
                f"{getattr(layer, 'name', layer)} is no layer of this model"
            )
        if getattr(layer, "checkpointed", False):
            raise ValueError(f"{layer.name} is checkpointed already")

    def wrap(call):
        @functools.wraps(call)
        def checkpointed(*args, **kwargs):
            # Of keywords, such as training, TensorFlow takes none here.
            return keras.remat(lambda *rest: call(*rest, **kwargs))(*args)

        return checkpointed

    for layer in layers:
        layer.call = wrap(layer.call)
        layer.checkpointed = True
    return model


# --8<-- [end:checkpoint_activations_keras]
