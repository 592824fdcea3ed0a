# --8<-- [start:grow_batch_size]
def grow_batch_size(batch_size, milestones, factor, largest):
    """Stages that raise the batch where one would have lowered the rate.

    batch_size: examples per update at the start.
    milestones: epochs, rising, from which the rate would be divided again.
    factor: of each division, above 1.
    largest: examples that fit at once, at least batch_size and at most the
        size of the data. What the batch cannot take over, the rate does.
    Returns [(first epoch, batch size, factor of the learning rate)].
    Raises ValueError for settings that make no such stages.
    Source: Smith et al. (2018), where the noise of an update depends on the
    rate divided by the batch size.
    """
    if batch_size < 1 or factor <= 1:
        raise ValueError(
            f"batch_size={batch_size} must be at least 1, and factor={factor} "
            "above 1"
        )
    if largest < batch_size:
        raise ValueError(
            f"largest={largest} must be at least batch_size={batch_size}"
        )
    epochs = [0, *milestones]
    if any(after <= before for before, after in zip(epochs, epochs[1:])):
        raise ValueError(f"milestones={milestones} must rise, from above 0")
    stages = []
    for number, epoch in enumerate(epochs):
        wanted = batch_size * factor**number
        size = min(int(wanted), largest)
        stages.append((epoch, size, size / wanted))
    return stages


# --8<-- [end:grow_batch_size]
