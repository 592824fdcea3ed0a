# --8<-- [start:find_largest_batch]
import gc
import sys


def find_largest_batch(try_batch, largest, smallest=1, multiple_of=1):
    """Largest batch size for which try_batch does not run out of memory.

    Doubles the size until one fails, then halves the interval. Costs at most
    about 2 log2(largest) tries, and each leaves the memory as it found it.

    try_batch: a function of the batch size that does all that training does:
        forward, backward and an update of the weights. Build the model
        outside of it or inside; keep nothing of a try. Its second try of a
        size must need no more than the first, so let it make the optimizer's
        state before you search.
    largest, smallest: ends of the search, in examples, both included. The
        number of training examples is a sensible largest.
    multiple_of: only multiples of it are tried, such as 8.
    Returns the batch size, an int. Leave some room below it: the memory that
    is free differs from run to run.
    Raises MemoryError if even the smallest size does not fit, ValueError for
    sizes that leave nothing to try. Any other error of try_batch is passed on.
    Knows MemoryError, the errors of PyTorch on a GPU and on a CPU, and
    ResourceExhausted of TensorFlow and JAX. An operating system may kill the
    process before a CPU reports anything: set it a limit first.
    """
    if multiple_of < 1 or multiple_of != int(multiple_of):
        raise ValueError(f"multiple_of={multiple_of} must be at least 1")
    first = -(-smallest // multiple_of)
    last = largest // multiple_of
    if smallest < 1 or first > last:
        raise ValueError(
            f"smallest={smallest} and largest={largest} leave no multiple of "
            f"{multiple_of} to try; smallest must be at least 1"
        )

    def ran_out(error):
        if isinstance(error, MemoryError):
            return True
        names = {each.__name__ for each in type(error).__mro__}
        if names & {"OutOfMemoryError", "ResourceExhaustedError"}:
            return True
        # PyTorch on a CPU and JAX have no class for it.
        said = str(error).lower()
        return isinstance(error, RuntimeError) and any(
            words in said
            for words in (
                "out of memory",
                "can't allocate memory",
                "cannot allocate memory",
                "not enough memory",
                "resource_exhausted",
            )
        )

    def fits(count):
        try:
            try_batch(int(count * multiple_of))
            good = True
        except Exception as error:
            if not ran_out(error):
                raise
            # The error, and with it the tensors in its frames, ends here.
            good = False
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        return good

    if not fits(first):
        raise MemoryError(
            f"even batch size {first * multiple_of} runs out of memory"
        )
    good, bad = first, last + 1
    # Doubling first, since a try costs time in proportion to its size.
    while good < last:
        count = min(2 * good, last)
        if not fits(count):
            bad = count
            break
        good = count
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return int(good * multiple_of)


# --8<-- [end:find_largest_batch]
