# --8<-- [start:check_batches]
import numpy as np


def check_batches(batches, seed=0):
    """What is odd about the batches that a loader gives, in sentences.

    Goes through two epochs, and looks for no batch at all, a batch of one
    example, a last batch that is smaller than the others, the same order in
    both epochs, and batches with far fewer classes than shuffled data have.

    batches: gives (inputs, labels, ...) for each batch, anew each time that
        it is gone through, as a DataLoader or a tf.data pipeline does.
        Labels are whole numbers, one for each example.
    seed: of the shuffles that the number of classes is compared with.
    Returns a list of sentences; empty if nothing is odd.
    Raises ValueError for an iterator, which can be gone through only once,
        and for labels of another shape.
    """
    if iter(batches) is batches:
        raise ValueError(
            "batches is an iterator, which ends after one epoch; give what "
            "it was made from, such as the DataLoader or the dataset"
        )
    epochs = [[np.asarray(batch[1]) for batch in batches] for _ in range(2)]
    for labels in (labels for epoch in epochs for labels in epoch):
        if labels.ndim != 1:
            raise ValueError(
                f"the labels of a batch have shape {labels.shape}; give one "
                f"whole number for each example"
            )
    first, second = epochs
    if not first:
        return ["There is no batch: nothing would be trained."]
    sizes = [len(labels) for labels in first]
    odd = []
    if 1 in sizes:
        odd.append(
            "A batch holds one example: batch normalisation cannot use it."
        )
    if sizes[-1] < sizes[0]:
        odd.append(
            f"The last batch holds {sizes[-1]} examples, the first "
            f"{sizes[0]}: weight what you average by their numbers."
        )
    everything = np.concatenate(first)
    classes = len(np.unique(everything))
    if classes > 1 and np.array_equal(everything, np.concatenate(second)):
        odd.append("Both epochs have the same order: shuffle in each epoch.")

    def mean_classes(labels):
        parts = np.split(labels, np.cumsum(sizes)[:-1])
        return np.mean([len(np.unique(part)) for part in parts])

    random = np.random.default_rng(seed)
    usual = np.mean(
        [mean_classes(random.permutation(everything)) for _ in range(20)]
    )
    if mean_classes(everything) < usual / 2:
        odd.append(
            f"A batch holds {mean_classes(everything):.1f} classes on "
            f"average, but {usual:.1f} if shuffled: the data are sorted."
        )
    return odd


# --8<-- [end:check_batches]
