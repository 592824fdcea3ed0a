# --8<-- [start:stack_data_sets]
import numpy as np


def stack_data_sets(draw, seeds, split):
    """A data set for each seed, all split alike and stacked.

    draw: a function of the seed that gives inputs [N, features] and labels
        [N].
    seeds: one for each data set.
    split: examples in each part, such as training, validation and test.
    Returns [(x, y)], a pair for each part: float32 [seeds, examples,
    features] and int64 [seeds, examples].
    Raises ValueError for a data set that has fewer examples than the parts.
    """
    *ends, last = np.cumsum(split)
    drawn = [draw(seed) for seed in seeds]
    for seed, (_, labels) in zip(seeds, drawn):
        if len(labels) < last:
            raise ValueError(
                f"seed {seed} gives {len(labels)} examples; the parts need "
                f"{last}"
            )
    x = np.array([inputs[:last] for inputs, _ in drawn], dtype="float32")
    y = np.array([labels[:last] for _, labels in drawn], dtype="int64")
    return list(zip(np.split(x, ends, axis=1), np.split(y, ends, axis=1)))


# --8<-- [end:stack_data_sets]
