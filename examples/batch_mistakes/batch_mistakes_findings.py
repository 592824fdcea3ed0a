# %% [markdown]
# ## What is read from the runs
#
# Each mistake has a judgement on how it shows, each repair one that it mends
# it. What is the same but for rounding is counted, in seeds that differ.

# %%
import numpy as np

from batch_mistakes_problem import *
from snippets.count_updates import count_updates
from snippets.keep_findings import keep_findings

# A relative difference below this is rounding. Set beforehand.
ROUNDING = 1e-4
# A gradient that is off by more than this is wrong. Set beforehand.
WRONG = 0.05
# Classes at the end of sorted data, of which most predictions are then.
LAST_CLASSES = 2
# "Far behind" is more than this, in percentage points. Set beforehand.
FAR_POINTS = 20.0


def count_off(found, key, samples, expected, margin=ROUNDING):
    """Keep in how many seeds a number is off by more than the margin."""
    off = np.abs(np.array(samples) - expected) > margin
    found.exact(key, int(off.sum()), "seeds")
    return found[key]


def keep_updates(found, observed):
    """Updates from micro-batches against those of the whole batch."""
    length = np.array(observed["no_division"]["length"])
    found.ratio("no_division.length", length)
    key = "no_division.not_as_long_as_passes"
    passes = BATCH_SIZE // MICRO_BATCH_SIZE
    off = count_off(found, key, length / passes, 1)
    found.judge("undivided_is_as_many_times_as_long", off == 0)
    for name, judgement in (
        ("batch_norm", "batch_norm_changes_the_update"),
        ("token_means", "token_means_are_wrong"),
    ):
        difference = observed[name]["difference"]
        found.ratio(f"{name}.difference", difference)
        off = count_off(found, f"{name}.wrong", difference, 0, WRONG)
        found.judge(judgement, off == NUM_SEEDS)
    for name, judgement in (
        ("division", "division_mends_it"),
        ("layer_norm", "layer_norm_keeps_the_update"),
        ("all_tokens", "all_tokens_mend_it"),
    ):
        difference = observed[name]["difference"]
        off = count_off(found, f"{name}.differs", difference, 0)
        found.judge(judgement, off == 0)


def keep_lengths(found, observed):
    """Gradients that grow: uncleared ones, and those of a summed loss."""
    growth = {}
    for name in ("no_reset", "reset", "summed", "averaged"):
        lengths = np.array(observed[name])
        growth[name] = lengths[:, -1] / lengths[:, 0]
    found.ratio("no_reset.length", growth["no_reset"])
    found.ratio("summed.growth", growth["summed"])
    found.ratio("averaged.growth", growth["averaged"])
    for key, times, judgement in (
        (
            "no_reset.not_as_long_as_updates",
            NUM_GROUPS,
            "uncleared_gradients_add_up",
        ),
        ("reset.differs", 1, "clearing_mends_it"),
        ("summed.not_as_copies", COPIES, "a_sum_grows_with_the_batch"),
        ("averaged.differs", 1, "a_mean_does_not"),
    ):
        name = key.split(".")[0]
        off = count_off(found, key, growth[name] / times, 1)
        found.judge(judgement, off == 0)


def keep_pairs(found, observed):
    """How much of two normalised examples is but a sign, to a hundredth."""
    for name in ("pair_by_batch", "pair_by_example"):
        values = np.abs(np.array(observed[name]))
        signs = (np.abs(values - 1) < 0.01).mean(axis=(1, 2))
        found.mean(f"{name}.signs", signs, "share")
    found.judge("most_of_a_pair_are_signs", found["pair_by_batch.signs"] > 0.5)
    found.judge("few_of_a_pair_are_signs", found["pair_by_example.signs"] < 0.2)


def keep_last_batches(found, observed):
    """What comes of one example left over, and of no batch at all."""
    for name in ("one_left_over", "none_left_over"):
        found.exact(f"{name}.refused", observed[name]["refused"], "runs")
    warned = observed["one_left_over"]["warned"]
    found.exact("one_left_over.warnings", warned, "warnings")
    alone, key = observed["alone"], "one_left_over.different_outputs"
    different = None if alone is None else len(np.unique(alone, axis=0))
    reason = "a single example is refused"
    found.exact(key, different, "outputs", reason=reason)
    refused = found["one_left_over.refused"] == 1
    found.judge("one_example_is_refused", refused)
    unnoticed = ~refused & (found["one_left_over.warnings"] == 0)
    found.judge("one_example_passes_unnoticed", unnoticed)
    found.judge("one_example_has_no_say", found[key] == 1)
    found.judge("dropping_one_mends_it", found["none_left_over.refused"] == 0)

    for name in ("mean_of_batches", "mean_of_examples"):
        found.exact(f"{name}.share", round(observed[name], 3), "share")
    fair = 1 / LEFT_OVER_EXAMPLES
    key = "mean_of_batches.times_its_share"
    found.exact(key, round(observed["mean_of_batches"] / fair, 1), "ratio")
    found.judge("the_last_example_counts_too_much", found[key] > 10)
    share = found["mean_of_examples.share"]
    found.judge("weighting_mends_it", share.between(fair - 1e-3, fair + 1e-3))

    for name in ("dropped", "not_dropped"):
        changed = int(observed[name]["changed"])
        found.exact(f"{name}.weights_change", changed, "runs")
    found.exact("dropped.warnings", observed["dropped"]["warned"], "warnings")
    found.judge("nothing_is_trained", found["dropped.weights_change"] == 0)
    found.judge("nothing_is_said", found["dropped.warnings"] == 0)
    found.judge("there_is_a_warning", found["dropped.warnings"] > 0)
    trains = found["not_dropped.weights_change"] == 1
    found.judge("a_smaller_batch_trains", trains)


def keep_epochs(found, observed):
    """How many epochs differ, in the order and in the noise."""
    for name, what, repeats, new in (
        (
            "seeded_order",
            "orders",
            "a_seed_repeats_one_order",
            "each_epoch_has_its_order",
        ),
        ("own_order", "orders", None, "own_shuffle_mends_it"),
        (
            "same_noise",
            "epochs",
            "a_seed_repeats_the_noise",
            "the_noise_is_new",
        ),
        ("new_noise", "epochs", None, "own_generator_mends_it"),
    ):
        epochs = np.reshape(observed[name], (NUM_EPOCHS, -1))
        key = f"{name}.{what}"
        found.exact(key, len(np.unique(epochs, axis=0)), what)
        if repeats:
            found.judge(repeats, found[key] == 1)
        found.judge(new, found[key] == NUM_EPOCHS)


def keep_sorted(found, observed):
    """Predictions on test data after sorted and after shuffled training."""
    updates = count_updates(NUM_TRAIN, BATCH_SIZE)
    found.exact(f"updates_per_epoch.{BATCH_SIZE}", updates, "updates")
    accuracy = {}
    for name in ("sorted", "shuffled"):
        predicted = np.array(observed[name])
        accuracy[name] = 100 * (predicted == y_test).mean(axis=1)
        late = (predicted >= NUM_CLASSES - LAST_CLASSES).mean(axis=1)
        found.mean(f"{name}.accuracy", accuracy[name], "percent")
        found.mean(f"{name}.late", late, "share")
    behind = accuracy["shuffled"] - accuracy["sorted"]
    found.mean("sorted.behind", behind, "percentage points")
    found.judge("sorted_is_far_behind", found["sorted.behind"] > FAR_POINTS)
    found.judge(
        "sorted_answers_with_the_last_classes",
        found["sorted.late"] > 0.5,
        found["shuffled.late"] < 0.5,
    )


def keep_devices_and_embeddings(found, observed):
    for name in ("per_device", "global"):
        key = f"{name}.examples_per_update"
        found.exact(key, sum(observed[name]), "examples")
    taken = found["per_device.examples_per_update"]
    found.judge("the_update_is_too_large", taken > GLOBAL_BATCH_SIZE)
    found.judge("the_update_is_too_small", taken < GLOBAL_BATCH_SIZE)
    mended = found["global.examples_per_update"] == GLOBAL_BATCH_SIZE
    found.judge("the_update_is_as_meant", mended)

    for name in ("in_parts", "in_one"):
        moved = round(observed[name] / EMBEDDING_RATE, 3)
        found.exact(f"{name}.moved", moved, "learning rates")
    found.judge("adam_squares_parts", found["in_parts.moved"] > 1.5)
    found.judge("adam_squares_the_sum", found["in_parts.moved"] == 1)
    found.judge("summing_mends_it", found["in_one.moved"] == 1)


def batch_mistakes_findings(observed):
    """Values and judgements.

    observed: {mistake or repair: what came of it}:
        no_division, division, batch_norm, layer_norm, token_means,
        all_tokens: {"length", "difference"}, see `compare_updates`.
        no_reset, reset: lengths of the gradient [seeds, updates].
        summed, averaged: the same [seeds, a batch and copies of it].
        pair_by_batch, pair_by_example: what was normalised [seeds, 2, units].
        one_left_over, none_left_over, dropped, not_dropped: see `watch`.
        alone: outputs of single examples [10, 1, classes], or None.
        mean_of_batches, mean_of_examples: shares of the mean loss.
        seeded_order, own_order: which examples passed [epochs * examples].
        same_noise, new_noise: noisy examples [epochs, any].
        sorted, shuffled: predicted classes [seeds, test examples].
        per_device, global: examples of an update on each device.
        in_parts, in_one: how far an embedding moved.
    """
    found = keep_findings()
    keep_updates(found, observed)
    keep_lengths(found, observed)
    keep_pairs(found, observed)
    keep_last_batches(found, observed)
    keep_epochs(found, observed)
    keep_sorted(found, observed)
    keep_devices_and_embeddings(found, observed)
    return found.report()
