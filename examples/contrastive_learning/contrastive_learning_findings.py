# %% [markdown]
# ## What is read from the runs
#
# A judgement holds when the whole interval is on its side. Margins were set
# before the first run.

# %%
import numpy as np

from contrastive_learning_problem import *
from snippets.keep_findings import keep_findings

# "Learns" is more than this above what needs no training, and "no
# difference" less than that, in percentage points.
LEARNS_POINTS = 10.0
MARGIN_POINTS = 3.0
# Gradients differ if they are more than this apart, in percent of one.
DIFFERENT_PERCENT = 1.0
# Part of the epochs after which the largest size is still behind.
EARLY_LOOK = 0.4
POINTS = "percentage points"


def keep_untrained(found, untrained, accuracy):
    """What needs no training, and what every size gains over it."""
    for name, samples in untrained.items():
        found.mean(f"accuracy.{name}", 100 * samples, "%")
    for size in BATCH_SIZES:
        trained = accuracy["epochs", (size, size)]
        found.mean(f"accuracy.epochs.{size}", 100 * trained, "%")
        for name, key in (
            ("random_encoder", "random"),
            ("raw_linear", "raw_linear"),
            ("raw_neighbour", "raw_neighbour"),
        ):
            gain = 100 * (trained - untrained[name])
            found.mean(f"gain.{key}.{size}", gain, "points")
    found.judge(
        "every_size_learns",
        *(
            found[f"gain.{against}.{size}"] > LEARNS_POINTS
            for against in ("random", "raw_linear", "raw_neighbour")
            for size in BATCH_SIZES
        ),
    )
    shifted = found["accuracy.raw_neighbour_everywhere"]
    found.judge(
        "shifting_the_labelled_images_is_better",
        *(shifted > found[f"accuracy.epochs.{size}"] for size in BATCH_SIZES),
    )
    for name in ("random_encoder", "raw_neighbour"):
        keys = [f"accuracy.{name}"] * len(BATCH_SIZES)
        found.line(f"accuracy.{name}", BATCH_SIZES, keys)


def keep_rates(found, rates):
    """How many of the chosen rates lie at an end of their grid."""
    edge = (LEARNING_RATES[0], LEARNING_RATES[-1])
    on_it = sum(rate in edge for rate in rates.values())
    found.exact("rates_on_the_edge", on_it, "rates")
    found.judge(
        "best_rates_lie_inside_the_grid", found["rates_on_the_edge"] == 0
    )


def at_equal_seconds(updates_per_epoch, epoch_seconds, curves):
    """Accuracy when the quickest size has made its epochs, by setup.

    It lies between the looks before and after.
    """
    quickest = min(np.mean(seconds) for seconds in epoch_seconds.values())
    found = {}
    for size in BATCH_SIZES:
        looks, accuracy = curves[size, size]
        seconds = np.mean(epoch_seconds[size]) / updates_per_epoch[size]
        reached = NUM_EPOCHS * quickest / seconds
        found["seconds", (size, size)] = np.array(
            [np.interp(reached, looks, line) for line in accuracy.T]
        )
    return found


def keep_gaps(found, accuracy):
    """Accuracy less that of the reference size, at each budget."""
    smallest, reference, largest = 8, REFERENCE_BATCH_SIZE, 128
    for budget in ("epochs", "updates", "seconds"):
        timing = budget == "seconds"
        of_size = {s: 100 * accuracy[budget, (s, s)] for s in BATCH_SIZES}
        samples = list(of_size.values())
        found.curve(f"accuracy.{budget}", BATCH_SIZES, samples, "%")
        for size in BATCH_SIZES:
            if size == reference or (budget != "epochs" and size in (16, 64)):
                continue
            gap = of_size[size] - of_size[reference]
            found.mean(f"gap.{budget}.{size}", gap, POINTS, timing=timing)
    for size in GROUP_SIZES:
        whole = accuracy["epochs", (GROUPED_BATCH_SIZE, GROUPED_BATCH_SIZE)]
        gap = accuracy["epochs", (GROUPED_BATCH_SIZE, size)] - whole
        key = f"gap.epochs.{GROUPED_BATCH_SIZE}.groups_of_{size}"
        found.mean(key, 100 * gap, POINTS)
    few, more = (
        found[f"gap.epochs.{GROUPED_BATCH_SIZE}.groups_of_{size}"]
        for size in GROUP_SIZES
    )
    found.judge("few_negatives_are_worse", few < 0)
    found.judge("more_negatives_are_level", more.within(MARGIN_POINTS))
    at_smallest, at_largest = (
        {
            budget: found[f"gap.{budget}.{size}"]
            for budget in ("epochs", "updates", "seconds")
        }
        for size in (smallest, largest)
    )
    found.judge(
        "smallest_is_level_after_equal_epochs",
        at_smallest["epochs"].within(MARGIN_POINTS),
    )
    found.judge("largest_trails_after_equal_epochs", at_largest["epochs"] < 0)
    found.judge(
        "smallest_is_behind_after_equal_updates",
        at_smallest["updates"] < -MARGIN_POINTS,
    )
    found.judge(
        "largest_is_ahead_after_equal_updates",
        at_largest["updates"] > MARGIN_POINTS,
    )
    found.judge(
        "smallest_is_behind_after_equal_seconds",
        at_smallest["seconds"] < -MARGIN_POINTS,
    )


def keep_early(found, curves):
    """How far behind the largest size is early, and what becomes of it."""
    reference, largest = REFERENCE_BATCH_SIZE, 128
    gaps = curves[largest, largest][1] - curves[reference, reference][1]
    early, late = gaps[LOOKS.index(EARLY_LOOK)], gaps[-1]
    found.mean(f"gap.early.{largest}", 100 * early, POINTS)
    found.mean("gap_closed", 100 * (late - early), POINTS)
    found.judge(
        "largest_is_behind_early",
        found[f"gap.early.{largest}"] < -MARGIN_POINTS,
    )
    found.judge("gap_closes_with_epochs", found["gap_closed"] > 0)


def keep_losses(found, losses):
    """The loss depends on the number of candidates, whatever was trained."""
    smallest, reference, largest = 8, REFERENCE_BATCH_SIZE, 128
    most = CANDIDATE_SIZES[-1]
    chance = [float(np.log(2 * size - 1)) for size in CANDIDATE_SIZES]
    for size, number in zip(CANDIDATE_SIZES, chance):
        if size in (smallest, most):
            found.exact(f"chance_loss.{size}", number, "nats")
    found.points("loss.chance", CANDIDATE_SIZES, chance, "nats")
    for trained in (smallest, reference, largest):
        samples = [losses[trained, size] for size in CANDIDATE_SIZES]
        found.curve(f"loss.{trained}", CANDIDATE_SIZES, samples, "nats")
    for trained, candidates in (
        (smallest, smallest),
        (smallest, largest),
        (smallest, most),
        (reference, reference),
        (reference, largest),
        (largest, smallest),
        (largest, largest),
        (largest, most),
    ):
        key = f"loss.trained_with_{trained}.{candidates}"
        found.mean(key, losses[trained, candidates], "nats")
    difference = losses[largest, most] - losses[smallest, most]
    found.mean(f"loss_difference.{most}", difference, "nats")
    rise = losses[smallest, most] - losses[smallest, smallest]
    found.mean("loss_rise", rise, "nats")
    found.judge("loss_rises_with_candidates", found["loss_rise"] > 0)
    found.judge(
        "smallest_has_the_lowest_own_loss",
        found[f"loss.trained_with_{smallest}.{smallest}"]
        < found[f"loss.trained_with_{largest}.{largest}"],
    )


def keep_bias(found, bias):
    """How far the expected gradient is from that of the whole set."""
    smallest, largest = 8, 128
    # What the ratio would be for a bias in proportion to one over the size.
    law = (1 / smallest - 1 / BIAS_EXAMPLES) / (1 / largest - 1 / BIAS_EXAMPLES)
    found.exact("bias_ratio.law", law, "ratio")
    for name, by_size in bias.items():
        keys = [f"bias.{name}.{size}" for size in CANDIDATE_SIZES]
        for size, key in zip(CANDIDATE_SIZES, keys):
            found.mean(key, 100 * by_size[size][0], "%")
        ratio = by_size[smallest][0] / by_size[largest][0]
        found.ratio(f"bias_ratio.{name}", ratio)
        found.judge(
            f"bias_falls.{name}",
            *(found[a] > found[b] for a, b in zip(keys, keys[1:])),
        )
        found.line(f"bias.{name}", CANDIDATE_SIZES, keys)
    _, cosine, length = bias["trained"][smallest]
    found.mean(f"cosine.trained.{smallest}", cosine, "cosine")
    key = f"length.trained.{smallest}"
    found.mean(key, length, "ratio")
    found.judge("expected_gradient_is_shorter", found[key] < 1)


def contrastive_learning_findings(
    updates_per_epoch,
    epoch_seconds,
    untrained,
    rates,
    accuracy,
    curves,
    losses,
    bias,
    accumulated,
):
    """Values, judgements and series.

    updates_per_epoch: {batch size: number}.
    epoch_seconds: {batch size: processor seconds of each repeat}.
    untrained, rates, accuracy, curves, losses, bias, accumulated: as the
        functions of the problem return them, for each seed.
    """
    found = keep_findings()
    smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
    for size in (smallest, largest):
        found.exact(
            f"updates_per_epoch.{size}", updates_per_epoch[size], "updates"
        )
    speedup = epoch_seconds[smallest] / epoch_seconds[largest]
    found.ratio(f"epoch_speedup.{largest}", speedup, timing=True)
    keep_untrained(found, untrained, accuracy)
    keep_rates(found, rates)
    seconds = at_equal_seconds(updates_per_epoch, epoch_seconds, curves)
    keep_gaps(found, accuracy | seconds)
    keep_early(found, curves)
    keep_losses(found, losses)
    keep_bias(found, bias)
    for (name, size), difference in accumulated.items():
        kind = "difference" if name == "contrast" else "control"
        found.mean(f"accumulated_{kind}.{size}", 100 * difference, "%")
    found.judge(
        "accumulation_differs",
        *(
            found[f"accumulated_difference.{size}"] > DIFFERENT_PERCENT
            for size in GROUP_SIZES
        ),
    )
    return found.report()
