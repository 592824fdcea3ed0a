# --8<-- [start:stratify_batches]
import numpy as np


def stratify_batches(labels, batch_size, random):
    """The batches of one epoch, each with the same share of every class.

    labels: class of each example [N].
    batch_size: examples in each batch; the last has what is left over.
    random: np.random.Generator; draws another epoch at each call.
    Returns a list of index arrays, which hold every example once. A batch
    has its share of a class, rounded up or down to a whole number; with many
    classes it may be one more off. Where the share is less than one example,
    some batches have none.
    Raises ValueError for no labels, for labels of another shape, and for a
    batch_size that is not a whole number of at least 1.
    Method: each class is shuffled and spread evenly over the epoch, from a
    random start.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels have the shape {labels.shape}; give one label for each "
            "example, and at least one"
        )
    if batch_size != batch_size // 1 or batch_size < 1:
        raise ValueError(
            f"batch_size is {batch_size}; give a whole number of at least 1"
        )
    # Where in the epoch an example comes, from 0 to 1.
    place = np.empty(len(labels))
    for name in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == name))
        ranks = np.arange(len(members))
        place[members] = (ranks + random.random()) / len(members)
    order = np.argsort(place)
    starts = range(int(batch_size), len(labels), int(batch_size))
    return np.split(order, list(starts))


# --8<-- [end:stratify_batches]
