# --8<-- [start:estimate_memory_torch]
import torch


def estimate_memory_torch(model, loss_function, x, y, state_values=0):
    """Bytes that training will take: a fixed part, and one per example.

    A batch of B examples needs about fixed + B * per_example bytes. What it
    leaves out: gradients of activations, which are short-lived, the working
    space of single operations, and the framework itself.

    model: any torch.nn.Module, in the mode in which you train it. Its
        weights, statistics and gradients stay as they were.
    loss_function: (outputs, labels) -> loss of the batch.
    x, y: a small batch, at least 2 examples, tensors on the model's device;
        4 are enough. On the meta device nothing is computed.
    state_values: numbers that the optimizer keeps for each parameter: 0 for
        plain SGD, 1 with momentum, 2 for Adam.
    Returns a dict of bytes: parameters (with buffers), gradients, optimizer,
    activations (kept whatever the batch size, such as weights in another
    precision), their sum fixed, and per_example: what the backward pass
    needs of one example, its own row of x and y included where it is kept.
    Activation checkpointing keeps some inputs out of PyTorch's sight; they
    are not counted.
    Raises ValueError for batches, state_values and models it cannot use.
    Method: torch.autograd.graph.saved_tensors_hooks on half of the batch and
    on all of it; storages are counted once, and those of parameters never.
    """
    if len(x) < 2 or len(x) != len(y):
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)} labels; give at "
            "least 2, and as many of either"
        )
    if state_values < 0:
        raise ValueError(f"state_values={state_values} must be at least 0")
    parameters = list(model.parameters())
    trained = [each for each in parameters if each.requires_grad]
    if not trained:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed"
        )
    buffers = list(model.buffers())

    def size_of(tensors):
        return sum(each.numel() * each.element_size() for each in tensors)

    def saved_bytes(num_examples):
        # Copies, as a slice would keep the storage of the whole batch.
        inputs = x[:num_examples].detach().clone()
        labels = y[:num_examples].detach().clone()
        kept = {each.untyped_storage()._cdata for each in parameters}
        found = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            # The address of the storage: on the meta device, data have none.
            if storage._cdata not in kept:
                found[storage._cdata] = storage.nbytes()
            return tensor.detach()

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            # The loss keeps the graph, and so every storage, until the end.
            loss = loss_function(model(inputs), labels)
        assert loss.requires_grad
        return sum(found.values())

    before = [each.detach().clone() for each in buffers]
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        half = len(x) // 2
        small, large = saved_bytes(half), saved_bytes(len(x))
    with torch.no_grad():
        # Such as the running statistics of batch normalisation.
        for buffer, old in zip(buffers, before):
            buffer.copy_(old)
    per_example = (large - small) / (len(x) - half)
    found = {
        "parameters": size_of(parameters) + size_of(buffers),
        "gradients": size_of(trained),
        "optimizer": state_values * size_of(trained),
        "activations": max(0.0, large - per_example * len(x)),
    }
    found["fixed"] = sum(found.values())
    found["per_example"] = per_example
    return found


# --8<-- [end:estimate_memory_torch]
