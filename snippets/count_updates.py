# --8<-- [start:count_updates]
def count_updates(num_examples, batch_size, num_epochs=1, drop_last=False):
    """How many updates of the weights a training makes.

    num_examples: examples in the training data, after any split.
    batch_size: examples per update, over all devices.
    num_epochs: how often the data are gone through.
    drop_last: whether the last batch of an epoch is left out where it is
        smaller than the others. Keras's fit on arrays and PyTorch's
        DataLoader keep it by default.
    Returns a whole number. With drop_last it is 0 where the batch is larger
    than the data: such a training would run and learn nothing.
    Raises ValueError for a number that is not a whole one above 0.
    """
    for name, number in {
        "num_examples": num_examples,
        "batch_size": batch_size,
        "num_epochs": num_epochs,
    }.items():
        if number != int(number) or number < 1:
            raise ValueError(
                f"{name} is {number}; give a whole number of at least 1"
            )
    updates, left_over = divmod(int(num_examples), int(batch_size))
    if left_over and not drop_last:
        updates += 1
    return updates * int(num_epochs)


# --8<-- [end:count_updates]
