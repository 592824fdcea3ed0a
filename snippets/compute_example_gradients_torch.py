# --8<-- [start:compute_example_gradients_torch]
import torch
from torch.func import functional_call, grad, vmap


def compute_example_gradients_torch(model, loss_function, x, y):
    """The gradient of the loss on each example alone, one row per example.

    The mean of the rows is the gradient of the whole batch; their spread is
    the gradient noise.

    model: any torch.nn.Module whose layers treat examples one by one. It is
        used in evaluation mode, and left as it was.
    loss_function: (outputs, labels) -> mean loss of a batch.
    x, y: N inputs and N labels, tensors on the device of the model.
    Returns a tensor [N, parameters], columns in the order of
    model.parameters(). It takes 4 bytes for each of its numbers: give few
    examples at a time if the model is large.
    Raises ValueError for a model without trainable parameters, for no
    examples or as many labels as not examples, and for a loss that is not
    finite.
    Method: torch.func.grad for one example, mapped over all by vmap.
    """
    parameters = {
        name: each.detach()
        for name, each in model.named_parameters()
        if each.requires_grad
    }
    if not parameters:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed"
        )
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)} labels; give as "
            "many of both, at least 1"
        )

    def loss_of_one(parameters, one, label):
        # A batch of one, as the layers expect a batch.
        outputs = functional_call(model, parameters, (one[None],))
        return loss_function(outputs, label[None])

    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            loss = loss_function(model(x), y)
        if not torch.isfinite(loss):
            raise ValueError(f"the loss is {loss.item()}; it must be finite")
        gradients = vmap(grad(loss_of_one), in_dims=(None, 0, 0))(
            parameters, x, y
        )
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.cat([each.flatten(1) for each in gradients.values()], dim=1)


# --8<-- [end:compute_example_gradients_torch]
