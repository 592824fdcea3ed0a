# --8<-- [start:accumulate_gradients_keras]
import keras
import numpy as np
from keras import ops


def accumulate_gradients_keras(
    model, loss_function, optimizer, x, y, micro_batch_size, weights=None
):
    """One update from micro-batches, equal to that of the whole batch.

    Every loss counts by its weight in the whole batch, whatever the sizes of
    the micro-batches. Only one micro-batch is on the model's device at once.
    Runs eagerly: for large models; small ones are faster compiled.

    model: any built keras model, on the TensorFlow or the torch backend; it
        runs in training mode. With batch normalisation the update is another
        one: it sees micro-batches. Regularisers count once.
    loss_function: (labels, outputs) -> the loss of each example or token,
        not averaged: a function of keras.losses, or a loss with
        reduction=None; of shape [n] or [n, ...] for n examples. The latter
        computes in float32 unless it is given another dtype.
    optimizer: one without gradient_accumulation_steps.
    x, y: the N inputs and N labels of the batch, arrays.
    micro_batch_size: examples in one forward pass; the last may be smaller.
    weights: what each loss counts, 0 or more, in the shape of all losses:
        [N], or [N, ...] for tokens, such as 1 for a token and 0 for padding.
        None if all count the same.
    Returns the weighted mean loss of the batch, before the update, with
        regularisers.
    Raises ValueError for an empty batch, sizes or lengths that do not fit,
        losses that were averaged or are not finite, weights that are not
        finite, negative or sum to 0, a model without trainable parameters,
        and optimizers and backends it cannot use. Then no weight has
        changed.
    Method: sum of weighted losses over sum of weights; see Debut et al.
    (2024), Fixing gradient accumulation.
    """
    if micro_batch_size < 1:
        raise ValueError(
            f"micro_batch_size={micro_batch_size} must be at least 1"
        )
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, but y has {len(y)} labels")
    if len(x) == 0:
        raise ValueError("the batch has 0 examples; at least 1 is needed")
    variables = model.trainable_variables
    if not variables:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed "
            "(a model that is not built has none yet)"
        )
    steps = optimizer.gradient_accumulation_steps
    if steps:
        raise ValueError(
            f"the optimizer has gradient_accumulation_steps={steps}, which "
            f"would accumulate once more; give one without"
        )
    total = None
    if weights is not None:
        weights = np.asarray(weights)
        if len(weights) != len(x):
            raise ValueError(
                f"x has {len(x)} examples, but weights has {len(weights)}"
            )
        total = weights.sum(dtype="float64")
        if not (0 < total < np.inf) or (weights < 0).any():
            raise ValueError(
                f"the weights sum to {total}; each must be 0 or more, and "
                f"their sum above 0 and finite"
            )

    def loss_of(part):
        inputs = ops.convert_to_tensor(x[part])
        outputs = model(inputs, training=True)
        losses = loss_function(ops.convert_to_tensor(y[part]), outputs)
        if len(losses.shape) == 0 or losses.shape[0] != len(inputs):
            raise ValueError(
                f"the loss of {len(inputs)} examples has shape "
                f"{tuple(losses.shape)}; give that of each example, "
                f"as with reduction=None"
            )
        # Divided before the backward pass: sums could overflow.
        if weights is None:
            loss = ops.mean(losses) * (len(inputs) / len(x))
        else:
            if weights[part].shape != tuple(losses.shape):
                raise ValueError(
                    f"the losses have shape {tuple(losses.shape)}, but "
                    f"their weights {weights[part].shape}"
                )
            shares = ops.convert_to_tensor(weights[part] / total)
            loss = ops.sum(losses * ops.cast(shares, losses.dtype))
        for extra in model.losses:
            loss = loss + ops.cast(extra, loss.dtype) * (len(inputs) / len(x))
        return loss

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def loss_and_gradients(part):
            with tf.GradientTape() as tape:
                loss = loss_of(part)
                scaled = optimizer.scale_loss(loss)
            # That of an embedding comes in parts, which are added up here.
            return loss, [
                None if each is None else tf.convert_to_tensor(each)
                for each in tape.gradient(scaled, variables)
            ]

    elif backend == "torch":
        import torch

        def loss_and_gradients(part):
            with torch.enable_grad():
                loss = loss_of(part)
                gradients = torch.autograd.grad(
                    optimizer.scale_loss(loss),
                    [each.value for each in variables],
                    allow_unused=True,
                )
            return loss.detach(), gradients

    else:
        raise ValueError(
            f"no path for the {backend} backend; use tensorflow or torch"
        )

    mean_loss, totals = 0.0, [None] * len(variables)
    for start in range(0, len(x), micro_batch_size):
        loss, gradients = loss_and_gradients(
            slice(start, start + micro_batch_size)
        )
        if not np.isfinite(float(loss)):
            raise ValueError(f"the loss is {float(loss)}; it must be finite")
        mean_loss += float(loss)
        for index, gradient in enumerate(gradients):
            if gradient is None:
                continue
            before = totals[index]
            totals[index] = gradient if before is None else before + gradient
    if all(each is None for each in totals):
        raise ValueError("the loss depends on 0 of the model's parameters")
    if backend == "torch":
        with torch.no_grad():
            optimizer.apply(totals, variables)
    else:
        optimizer.apply(totals, variables)
    return mean_loss


# --8<-- [end:accumulate_gradients_keras]
