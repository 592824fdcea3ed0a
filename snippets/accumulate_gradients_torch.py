# --8<-- [start:accumulate_gradients_torch]
import torch


def accumulate_gradients_torch(
    model, loss_function, optimizer, x, y, micro_batch_size, weights=None
):
    """One update from micro-batches, equal to that of the whole batch.

    Every loss counts by its weight in the whole batch, whatever the sizes of
    the micro-batches. Only one micro-batch is on the model's device at once.

    model: any torch module, in the mode that you left it in. With batch
        normalisation the update is another one: it sees micro-batches.
    loss_function: (outputs, labels) -> the loss of each example or token,
        not averaged: as with reduction="none", of shape [n] or [n, ...] for
        n examples.
    optimizer: holds the model's parameters. Gradients that are there are
        cleared, before and after.
    x, y: the N inputs and N labels of the batch, tensors or arrays.
    micro_batch_size: examples in one forward pass; the last may be smaller.
    weights: what each loss counts, 0 or more, in the shape of all losses:
        [N], or [N, ...] for tokens, such as 1 for a token and 0 for padding.
        None if all count the same.
    Returns the weighted mean loss of the batch, before the update.
    Raises ValueError for an empty batch, sizes or lengths that do not fit,
        losses that were averaged or are not finite, weights that are not
        finite, negative or sum to 0, and a model without trainable
        parameters. Then no weight has changed.
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
    parameters = [each for each in model.parameters() if each.requires_grad]
    if not parameters:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed"
        )
    device = parameters[0].device
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    total = None
    if weights is not None:
        weights = torch.as_tensor(weights)
        if len(weights) != len(x):
            raise ValueError(
                f"x has {len(x)} examples, but weights has {len(weights)}"
            )
        total = weights.double().sum().item()
        if not (0 < total < float("inf")) or (weights < 0).any():
            raise ValueError(
                f"the weights sum to {total}; each must be 0 or more, and "
                f"their sum above 0 and finite"
            )

    optimizer.zero_grad()
    mean_loss = 0.0
    try:
        for start in range(0, len(x), micro_batch_size):
            part = slice(start, start + micro_batch_size)
            inputs, labels = x[part].to(device), y[part].to(device)
            losses = loss_function(model(inputs), labels)
            if losses.ndim == 0 or len(losses) != len(inputs):
                raise ValueError(
                    f"the loss of {len(inputs)} examples has shape "
                    f"{tuple(losses.shape)}; give that of each example, "
                    f'as with reduction="none"'
                )
            # Divided before the backward pass: sums could overflow.
            if weights is None:
                loss = losses.mean() * (len(inputs) / len(x))
            else:
                if weights[part].shape != losses.shape:
                    raise ValueError(
                        f"the losses have shape {tuple(losses.shape)}, but "
                        f"their weights {tuple(weights[part].shape)}"
                    )
                shares = (weights[part].double() / total).to(losses)
                loss = (losses * shares).sum()
            if not torch.isfinite(loss):
                raise ValueError(
                    f"the loss is {loss.item()}; it must be finite"
                )
            loss.backward()
            mean_loss += loss.item()
        optimizer.step()
    finally:
        optimizer.zero_grad()
    return mean_loss


# --8<-- [end:accumulate_gradients_torch]
