# --8<-- [start:predict_updates]
def predict_updates(batch_size, min_updates, critical_batch_size):
    """Updates and examples to a target, from the hyperbola fitted to runs.

    batch_size: examples per update.
    min_updates: updates to the target with a batch so large that a larger
        one saves none.
    critical_batch_size: examples per update at which that takes twice as
        many updates, and twice as many examples as with the smallest batch.
    Returns a dict: updates, S = min_updates (1 + critical_batch_size /
    batch_size), and examples, S batch_size. Neither is rounded: they are
    read off a fitted line.
    Raises ValueError for a batch size that is not a whole number above 0,
    and for others that are not above 0.
    Source: McCandlish et al. (2018), as others report them.
    """
    # What is infinite or not a number does not equal its whole part.
    if batch_size != batch_size // 1 or batch_size < 1:
        raise ValueError(
            f"batch_size is {batch_size}; give a whole number of at least 1"
        )
    for name, number in {
        "min_updates": min_updates,
        "critical_batch_size": critical_batch_size,
    }.items():
        if not 0 < number < float("inf"):
            raise ValueError(f"{name} is {number}; give a number above 0")
    updates = min_updates * (1 + critical_batch_size / batch_size)
    return {"updates": updates, "examples": updates * batch_size}


# --8<-- [end:predict_updates]
