# --8<-- [start:keep_half_life]
def keep_half_life(beta, reference_batch_size, batch_size):
    """Adam's beta for a batch size, with the same memory in examples.

    An average with factor beta forgets half of the past in
    log(1/2) / log(beta) updates. Fewer examples per update make the same
    beta forget after fewer examples; this keeps that number as it was.

    beta: of the second moment (beta_2), that goes with the reference size;
        above 0 and below 1.
    reference_batch_size, batch_size: examples, or tokens, per update; at
        least 1.
    Returns a number above 0 and below 1: nearer to 1 for a smaller batch.
    Raises ValueError for numbers outside these bounds.
    Source: Marek et al. 2025, arXiv:2507.07101.
    """
    if not 0 < beta < 1:
        raise ValueError(f"beta is {beta}; it must lie above 0 and below 1")
    for name, size in {
        "reference_batch_size": reference_batch_size,
        "batch_size": batch_size,
    }.items():
        if not size >= 1:
            raise ValueError(f"{name} is {size}; it must be at least 1")
    return beta ** (batch_size / reference_batch_size)


# --8<-- [end:keep_half_life]
