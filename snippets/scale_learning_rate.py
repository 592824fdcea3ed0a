# --8<-- [start:scale_learning_rate]
def scale_learning_rate(learning_rate, batch_size, new_batch_size, rule):
    """The learning rate to begin with after a change of the batch size.

    learning_rate: the one that is good at batch_size, above 0.
    batch_size, new_batch_size: examples per update, over all devices.
    rule: "linear" multiplies the rate by the ratio of the sizes, for SGD and
        momentum; "root" by its square root, for Adam. Both are meant for
        equal epochs.
    Returns a rate to try, with a smaller and a larger one beside it: both
    rules end somewhere.
    Raises ValueError for a rate that is not above 0, a size that is not a
    whole number above 0, and any other rule.
    Sources: Goyal et al. (2017) for "linear"; Malladi et al. (2022), as
    others report them, for "root".
    """
    if not 0 < learning_rate < float("inf"):
        raise ValueError(
            f"learning_rate is {learning_rate}; give a number above 0"
        )
    for name, size in {
        "batch_size": batch_size,
        "new_batch_size": new_batch_size,
    }.items():
        # What is infinite or not a number does not equal its whole part.
        if size != size // 1 or size < 1:
            raise ValueError(
                f"{name} is {size}; give a whole number of at least 1"
            )
    powers = {"linear": 1, "root": 0.5}
    if rule not in powers:
        raise ValueError(f'rule is {rule}; give "linear" or "root"')
    return learning_rate * (new_batch_size / batch_size) ** powers[rule]


# --8<-- [end:scale_learning_rate]
