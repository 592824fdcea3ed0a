# --8<-- [start:chance_without_class]
def chance_without_class(batch_size, num_examples, num_of_class):
    """The chance that a batch holds no example of a class.

    batch_size: examples in the batch.
    num_examples: examples in the data, the class included.
    num_of_class: how many of them belong to the class; may be 0.
    Returns a probability from 0 to 1; one below 1e-300 becomes 0. It holds
    for every full batch of an epoch whose order was shuffled, as each is a
    draw without replacement.
    Raises ValueError for a number that is not whole, for less than one
    example in the batch or the data, for less than none of the class, and
    for a batch or a class larger than the data.
    Method: hypergeometric distribution at zero, as a product of fractions.
    """
    for name, number, least in (
        ("num_examples", num_examples, 1),
        ("batch_size", batch_size, 1),
        ("num_of_class", num_of_class, 0),
    ):
        # What is infinite or not a number does not equal its whole part.
        if number != number // 1 or number < least:
            raise ValueError(
                f"{name} is {number}; give a whole number of at least {least}"
            )
        if number > num_examples:
            raise ValueError(
                f"{name} is {number}; the data hold only {num_examples} "
                "examples"
            )
    # Batch and class may change places: how many positions of the order
    # both share is all that counts. So the loop goes over the smaller one.
    fewer, more = sorted((int(batch_size), int(num_of_class)))
    chance = 1.0
    for placed in range(fewer):
        left = int(num_examples) - placed
        chance *= (left - more) / left
        # So that large numbers end soon. Waiting for a plain 0 would not do:
        # the smallest number above it, times 0.9, is rounded up to itself.
        if chance < 1e-300:
            return 0.0
    return chance


# --8<-- [end:chance_without_class]
