# --8<-- [start:use_mixed_precision_torch]
import torch


def use_mixed_precision_torch(
    model, optimizer, loss_function, dtype=torch.bfloat16
):
    """A function that makes one update, in half precision where that is safe.

    Weights, their gradients and the optimizer stay in float32. Activations
    of matrix products and convolutions take half the memory; the loss is
    computed in float32. In float16, small gradients would become 0: the loss
    is scaled up before the backward pass and the gradients down after it, and
    an update with a gradient that is not finite is left out. bfloat16 has the
    range of float32 and needs no scale.

    model: any torch.nn.Module with float32 weights and one output tensor, on
        its device.
    optimizer: an optimizer of its parameters.
    loss_function: (outputs, labels) -> loss of the batch.
    dtype: torch.bfloat16 or torch.float16.
    Returns update(x, y), which returns the loss before the update, a tensor.
    Raises ValueError for another dtype and for weights that are not float32.
    Source of the method: Micikevicius et al. (2018), by way of torch.amp.
    """
    if dtype not in (torch.bfloat16, torch.float16):
        raise ValueError(f"dtype={dtype} must be torch.bfloat16 or .float16")
    parameters = list(model.parameters())
    for each in parameters:
        if each.dtype != torch.float32:
            raise ValueError(
                f"the model has weights in {each.dtype}; all must be float32"
            )
    if not parameters:
        raise ValueError("the model has 0 parameters; at least 1 is needed")
    device = parameters[0].device.type
    scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)

    def update(x, y):
        optimizer.zero_grad()
        with torch.autocast(device, dtype):
            outputs = model(x)
        loss = loss_function(outputs.float(), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return update


# --8<-- [end:use_mixed_precision_torch]
