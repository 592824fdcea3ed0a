# --8<-- [start:measure_input_share]
import time

import numpy as np


def measure_input_share(
    batches,
    update,
    num_batches=20,
    num_repeats=10,
    num_skipped=5,
    num_ready=None,
    wait=None,
):
    """How much longer training takes because its batches have to be fetched.

    Times your loop, then as many updates with its last batch, which lies in
    memory by then, and again. Works with any framework.

    batches: what your loop goes through: a DataLoader, a tf.data.Dataset or
        any other iterable. It begins anew where it ends, as for an epoch.
    update: update(batch) trains on one batch. Let it copy the batch to the
        device, as your loop does.
    num_batches: in a timed block.
    num_repeats: blocks of either kind.
    num_skipped: batches before each block whose time does not count. Give at
        least as many as your loader fetches ahead: those came for nothing.
        Workers fill up again while the batch in memory is timed. Where they
        share a core with it, it gets slower and the ratio too small.
    num_ready: updates in a block with the batch in memory; None for
        num_batches. Give more where updates are quick.
    wait: called before the clock is read. On a GPU, where calls return before
        the work is done, give torch.cuda.synchronize or the like.
    Returns a dict. ratio: seconds of the loop in those with the batch in
    memory, the median over the repeats; low and high, its range. share: the
    part of the loop's time that fetching costs, 1 - 1 / ratio, at least 0.
    seconds and ready_seconds: per batch, with and without fetching, an array
    of num_repeats each. first_seconds: until the first batch came, which is
    left out of the others; it holds the start of workers.
    Raises ValueError for numbers it cannot use, and where batches end and do
    not begin anew.
    """
    num_ready = num_batches if num_ready is None else num_ready
    for name, number, least in (
        ("num_batches", num_batches, 1),
        ("num_repeats", num_repeats, 1),
        ("num_skipped", num_skipped, 0),
        ("num_ready", num_ready, 1),
    ):
        if number != int(number) or number < least:
            raise ValueError(
                f"{name} is {number}; give a whole number of at least {least}"
            )

    def endless():
        count = 0
        while True:
            before = count
            for batch in batches:
                count += 1
                yield batch
            if count == before:
                raise ValueError(
                    f"the batches ended after {count}; give an iterable that "
                    "can begin anew, such as a loader, not its iterator"
                )

    def seconds_of(work, *arguments):
        if wait:
            wait()
        start = time.perf_counter()
        result = work(*arguments)
        if wait:
            wait()
        return time.perf_counter() - start, result

    def train(count):
        for _ in range(count):
            batch = next(fetched)
            update(batch)
        return batch

    def train_ready(batch):
        for _ in range(num_ready):
            update(batch)

    fetched = endless()
    first_seconds, batch = seconds_of(next, fetched)
    update(batch)
    seconds, ready_seconds = np.empty((2, num_repeats))
    for repeat in range(num_repeats):
        if num_skipped:
            train(num_skipped)
        seconds[repeat], batch = seconds_of(train, num_batches)
        ready_seconds[repeat], _ = seconds_of(train_ready, batch)
    seconds, ready_seconds = seconds / num_batches, ready_seconds / num_ready
    ratios = seconds / ready_seconds
    ratio = float(np.median(ratios))
    return {
        "ratio": ratio,
        "low": float(ratios.min()),
        "high": float(ratios.max()),
        "share": max(0.0, 1 - 1 / ratio),
        "seconds": seconds,
        "ready_seconds": ready_seconds,
        "first_seconds": first_seconds,
    }


# --8<-- [end:measure_input_share]
