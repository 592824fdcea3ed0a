# --8<-- [start:update_on_devices_torch]
import contextlib

from torch import distributed


def update_on_devices_torch(
    model, loss_function, optimizer, micro_batches, global_batch_size
):
    """One update of the weights by the mean gradient of the global batch.

    Right whatever the shares: the devices may hold different numbers of
    examples, or none. Every process calls it with its own examples.

    model: your network in DistributedDataParallel, or as it is where there
        is only one process.
    loss_function: (outputs, labels) -> loss of each example, [n]; such as
        CrossEntropyLoss(reduction="none").
    optimizer: of the model's parameters; old gradients are set to zero.
    micro_batches: this device's (inputs, labels), one pair for each forward
        pass; gradients are exchanged once, after the last. No example at
        all is a pair of empty tensors.
    global_batch_size: examples of this update, over all devices.
    Returns this device's part of the batch's mean loss; the sum over the
    devices is that mean.
    Raises ValueError where micro_batches is empty, holds more than
    global_batch_size examples, or the loss is not one number per example.
    """
    count = sum(len(inputs) for inputs, _ in micro_batches)
    if not micro_batches or count > global_batch_size:
        raise ValueError(
            f"{len(micro_batches)} micro-batches with {count} examples; give "
            "at least one micro-batch, and at most global_batch_size="
            f"{global_batch_size} examples"
        )
    devices = 1
    if distributed.is_available() and distributed.is_initialized():
        devices = distributed.get_world_size()
    optimizer.zero_grad()
    total = 0.0
    for number, (inputs, labels) in enumerate(micro_batches, 1):
        alone = devices == 1 or number == len(micro_batches)
        with contextlib.nullcontext() if alone else model.no_sync():
            losses = loss_function(model(inputs), labels)
            if losses.shape != (len(inputs),):
                raise ValueError(
                    f"the loss has shape {tuple(losses.shape)}; one number "
                    f"per example, ({len(inputs)},), is needed: set "
                    'reduction="none"'
                )
            loss = losses.sum() / global_batch_size
            # DistributedDataParallel divides the sum by the devices.
            (loss * devices).backward()
        total += loss.item()
    optimizer.step()
    return total


# --8<-- [end:update_on_devices_torch]
