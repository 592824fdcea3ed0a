# --8<-- [start:measure_sharpness_torch]
import torch


def measure_sharpness_torch(model, loss, x, y, num_iterations=50, seed=0):
    """Sharpness: the top eigenvalue of the Hessian of the model's loss.

    The curvature of the loss on the given data along the direction in which
    it bends most. It depends on how the weights are scaled, so compare it
    only between networks of one architecture, trained in one way, at equal
    loss.

    model: any nn.Module whose layers can be differentiated twice; measured
        in evaluation mode, as it would predict.
    loss: function (model(x), y) -> a number or one for each example; of
        several the mean is taken.
    x, y: all the data that the loss is to be measured on, as one batch.
    num_iterations: of the power iteration; double it to see whether the
        result still moves.
    seed: of the first direction.
    Returns a float; negative where the loss bends down more than up. The
    model, its gradients, its modes and PyTorch's random state stay as they
    were.
    Raises ValueError without data or trainable parameters, for inputs and
    labels that are not as many, for fewer than one iteration, and for a
    loss that is not finite.
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
    weights = [each for each in model.parameters() if each.requires_grad]
    if not weights:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed"
        )

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            value = loss(model(x), y).mean()
            if not torch.isfinite(value):
                raise ValueError(
                    f"the loss is {value.item()}; it must be finite"
                )
            slopes = torch.autograd.grad(
                value, weights, create_graph=True, materialize_grads=True
            )
    finally:
        for module, mode in modes:
            module.training = mode

    random = torch.Generator().manual_seed(seed)
    direction = [
        torch.randn(each.shape, generator=random).to(each) for each in weights
    ]
    eigenvalue = 0.0
    for _ in range(num_iterations):
        length = sum((each**2).sum() for each in direction) ** 0.5
        # A loss without curvature leaves nothing to follow.
        if length == 0:
            return 0.0
        direction = [each / length for each in direction]
        along = sum(
            (slope * each).sum() for slope, each in zip(slopes, direction)
        )
        # A linear loss has a constant slope, which depends on no weight.
        if not along.requires_grad:
            return 0.0
        product = torch.autograd.grad(
            along, weights, retain_graph=True, materialize_grads=True
        )
        eigenvalue = sum(
            (each * turned).sum() for each, turned in zip(direction, product)
        )
        direction = product
    return float(eigenvalue)


# --8<-- [end:measure_sharpness_torch]
