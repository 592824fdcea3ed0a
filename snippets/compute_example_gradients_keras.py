# --8<-- [start:compute_example_gradients_keras]
import keras
import numpy as np
from keras import ops


def compute_example_gradients_keras(model, loss_function, x, y):
    """The gradient of the loss on each example alone, one row per example.

    The mean of the rows is the gradient of the whole batch; their spread is
    the gradient noise.

    model: any built keras model whose layers treat examples one by one, on
        the TensorFlow or the torch backend. It is called with
        training=False, and left as it was.
    loss_function: (labels, outputs) -> mean loss of a batch.
    x, y: N inputs and N labels, arrays.
    Returns a NumPy array [N, parameters], columns in the order of
    model.trainable_variables. It takes 4 bytes for each of its numbers: give
    few examples at a time if the model is large.
    Raises ValueError for a model without trainable parameters, for no
    examples or as many labels as not examples, for a loss that is not
    finite, and for other backends.
    Method: the gradient of one example, mapped over all by vectorized_map
    or vmap.
    """
    weights = [each.value for each in model.trainable_variables]
    if not weights:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed "
            "(a model that is not built has none yet)"
        )
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)} labels; give as "
            "many of both, at least 1"
        )
    fixed = [each.value for each in model.non_trainable_variables]
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)

    def loss_of(weights, inputs, labels):
        outputs, _ = model.stateless_call(
            weights, fixed, inputs, training=False
        )
        return ops.mean(loss_function(labels, outputs))

    loss = float(loss_of(weights, x, y))
    if not np.isfinite(loss):
        raise ValueError(f"the loss is {loss}; it must be finite")

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def gradients_of_one(example):
            # A batch of one, as the layers expect a batch.
            one, label = example
            with tf.GradientTape() as tape:
                tape.watch(weights)
                loss = loss_of(weights, one[None], label[None])
            return tape.gradient(loss, weights, unconnected_gradients="zero")

        gradients = tf.vectorized_map(gradients_of_one, (x, y))
    elif backend == "torch":
        from torch.func import grad, vmap

        def loss_of_one(weights, one, label):
            return loss_of(weights, one[None], label[None])

        weights = [each.detach() for each in weights]
        gradients = vmap(grad(loss_of_one), in_dims=(None, 0, 0))(weights, x, y)
    else:
        raise ValueError(
            f"no path for the {backend} backend; use tensorflow or torch"
        )
    rows = [ops.reshape(each, (len(x), -1)) for each in gradients]
    return ops.convert_to_numpy(ops.concatenate(rows, axis=1))


# --8<-- [end:compute_example_gradients_keras]
