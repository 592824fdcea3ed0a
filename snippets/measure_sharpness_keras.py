# --8<-- [start:measure_sharpness_keras]
import keras
import numpy as np
from keras import ops


def measure_sharpness_keras(model, loss, x, y, num_iterations=50, seed=0):
    """Sharpness: the top eigenvalue of the Hessian of the model's loss.

    The curvature of the loss on the given data along the direction in which
    it bends most. It depends on how the weights are scaled, so compare it
    only between networks of one architecture, trained in one way, at equal
    loss.

    model: any built Keras model whose layers can be differentiated twice;
        called with training=False, as it would predict.
    loss: a keras.losses.Loss or a function (y, model(x)) -> a number or one
        for each example; of several the mean is taken.
    x, y: all the data that the loss is to be measured on, as one batch.
    num_iterations: of the power iteration; double it to see whether the
        result still moves.
    seed: of the first direction.
    Returns a float; negative where the loss bends down more than up. The
    model and all random states stay as they were.
    Raises ValueError without data or trainable weights, for inputs and
    labels that are not as many, for fewer than one iteration, for a loss
    that is not finite, and on a backend other than TensorFlow and PyTorch.
    Method: power iteration on products of the Hessian with a vector, each
    from two backward passes (Pearlmutter 1994).
    """
    if num_iterations < 1:
        raise ValueError(f"num_iterations={num_iterations} must be 1 or more")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)} labels; give as "
            "many of both, at least 1"
        )
    variables = model.trainable_variables
    if not variables:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed "
            "(a model that is not built has none yet)"
        )
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)

    def value_of_loss():
        return ops.mean(loss(y, model(x, training=False)))

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        values = [variable.value for variable in variables]

        @tf.function(autograph=False)
        def hessian_times(direction):
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    value = value_of_loss()
                slopes = inner.gradient(
                    value, values, unconnected_gradients="zero"
                )
                along = sum(
                    tf.reduce_sum(slope * each)
                    for slope, each in zip(slopes, direction)
                )
            return outer.gradient(along, values, unconnected_gradients="zero")

    elif backend == "torch":
        import torch

        values = [variable.value for variable in variables]

        def hessian_times(direction):
            with torch.enable_grad():
                slopes = torch.autograd.grad(
                    value_of_loss(),
                    values,
                    create_graph=True,
                    materialize_grads=True,
                )
                along = sum(
                    (slope * each).sum()
                    for slope, each in zip(slopes, direction)
                )
                # A linear loss has a constant slope.
                if not along.requires_grad:
                    return [torch.zeros_like(each) for each in values]
                return torch.autograd.grad(
                    along, values, materialize_grads=True
                )
    else:
        raise ValueError(
            f"no path for the {backend} backend; use tensorflow or torch"
        )

    value = float(value_of_loss())
    if not np.isfinite(value):
        raise ValueError(f"the loss is {value}; it must be finite")
    random = np.random.default_rng(seed)
    direction = [random.normal(size=each.shape) for each in variables]
    eigenvalue = 0.0
    for _ in range(num_iterations):
        length = sum((each**2).sum() for each in direction) ** 0.5
        # A loss without curvature leaves nothing to follow.
        if length == 0:
            return 0.0
        direction = [each / length for each in direction]
        product = hessian_times(
            [
                ops.convert_to_tensor(each, dtype=variable.dtype)
                for each, variable in zip(direction, variables)
            ]
        )
        product = [ops.convert_to_numpy(each) for each in product]
        eigenvalue = sum(
            (each * turned).sum() for each, turned in zip(direction, product)
        )
        direction = product
    return float(eigenvalue)


# --8<-- [end:measure_sharpness_keras]
