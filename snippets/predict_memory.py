# --8<-- [start:predict_memory]
def predict_memory(fixed, per_example, batch_size, memory):
    """What a batch takes, and the largest batch that a memory should hold.

    fixed: taken whatever the batch size, at least 0: parameters, gradients
        and what the optimizer keeps.
    per_example: taken for each example, above 0.
    batch_size: examples of one forward and backward pass on one device.
    memory: what there is on that device, at least 0.
    All three amounts are in one unit, such as megabytes.
    Returns a dict: needed, fixed + batch_size * per_example, and
    largest_batch, the most examples that fit; 0 if not even one does. Leave
    some room below it, and test it: the largest working space of a single
    operation is in neither part, nor is the framework itself.
    Raises ValueError for numbers outside these bounds.
    """
    for name, number in {"fixed": fixed, "memory": memory}.items():
        if not 0 <= number < float("inf"):
            raise ValueError(f"{name} is {number}; give a number of at least 0")
    if not 0 < per_example < float("inf"):
        raise ValueError(f"per_example is {per_example}; give a number above 0")
    # What is infinite or not a number does not equal its whole part.
    if batch_size != batch_size // 1 or batch_size < 1:
        raise ValueError(
            f"batch_size is {batch_size}; give a whole number of at least 1"
        )
    return {
        "needed": fixed + batch_size * per_example,
        "largest_batch": max(0, int((memory - fixed) / per_example)),
    }


# --8<-- [end:predict_memory]
