# %% [markdown]
# ## What is read from the runs
#
# A judgement holds when the whole interval is on its side. Margins were set
# before the first run.

# %%
import matplotlib.pyplot as plt
import numpy as np

from blobs_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

# Share of the test examples; for the time to reach it.
TARGET_ACCURACY = 0.8
# "Settled" is closer to the last value than this, in percentage points.
SETTLED_POINTS = 1.0
# The epoch after which the tutorial sees its smallest sizes settled.
CLAIMED_SETTLED_EPOCH = 30
# "No difference" is less than this, in percentage points.
MARGIN_POINTS = 1.0
# "The same number of epochs" is less than this factor.
MARGIN_FACTOR = 1.5
NOT_REACHED = "not every run reached the target accuracy"


class Runs:
    """The runs of all sizes, by rule: `accuracy` is [looks, seeds]."""

    def __init__(self, updates_per_epoch, accuracy):
        self.updates_per_epoch, self.accuracy = updates_per_epoch, accuracy

    def looks(self, rule, batch_size):
        return looks_at(rule, self.updates_per_epoch[batch_size])

    def accuracy_after(self, rule, batch_size, updates):
        at = np.searchsorted(self.looks(rule, batch_size), updates)
        return self.accuracy[rule, batch_size][at]

    def after_all_epochs(self, rule, batch_size):
        updates = NUM_EPOCHS * self.updates_per_epoch[batch_size]
        return self.accuracy_after(rule, batch_size, updates)

    def updates_to_target(self, rule, batch_size):
        """First look at the target, per seed; nan where there is none."""
        reached = self.accuracy[rule, batch_size] >= TARGET_ACCURACY
        first = self.looks(rule, batch_size)[reached.argmax(axis=0)]
        return np.where(reached.any(axis=0), first, np.nan)

    def epochs_to_target(self, rule, batch_size):
        updates = self.updates_to_target(rule, batch_size)
        return updates / self.updates_per_epoch[batch_size]

    def settled_epoch(self, batch_size, horizon):
        """After it, accuracy stays near that at the horizon, in epochs."""
        updates = np.arange(1, horizon + 1) * self.updates_per_epoch[batch_size]
        accuracy = self.accuracy_after("fixed", batch_size, updates)
        away = np.abs(accuracy - accuracy[-1]) > SETTLED_POINTS / 100
        last_away = horizon - away[::-1].argmax(axis=0)
        return np.where(away.any(axis=0), last_away + 1, 1)


def keep_targets(found, runs, epoch_seconds):
    """Epochs, updates and seconds until the target."""
    smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
    shown = (smallest, REFERENCE_BATCH_SIZE, largest)
    for size in shown:
        for rule in ("fixed", "linear"):
            epochs = runs.epochs_to_target(rule, size)
            key = f"epochs_to_target.{rule}.{size}"
            found.mean(key, epochs, "epochs", reason=NOT_REACHED)
        updates = runs.updates_to_target("fixed", size)
        key = f"updates_to_target.fixed.{size}"
        found.mean(key, updates, "updates", reason=NOT_REACHED)
    fixed = {size: runs.epochs_to_target("fixed", size) for size in BATCH_SIZES}
    for rule in ("fixed", "linear"):
        ratio = runs.epochs_to_target(rule, largest)
        ratio = ratio / runs.epochs_to_target(rule, smallest)
        found.ratio(f"epochs_ratio.{rule}", ratio, reason=NOT_REACHED)
    found.ratio(
        "updates_ratio.fixed",
        runs.updates_to_target("fixed", smallest)
        / runs.updates_to_target("fixed", largest),
        reason=NOT_REACHED,
    )
    for rule in LEARNING_RATE_RULES:
        ratio = runs.epochs_to_target(rule, largest)
        ratio = ratio / runs.epochs_to_target(rule, 16)
        key = f"epochs_ratio_above_sixteen.{rule}"
        found.ratio(key, ratio, reason=NOT_REACHED)
        if rule != "fixed":
            found.judge(
                f"{rule}_rate_evens_out_epochs",
                found[key].between(1 / MARGIN_FACTOR, MARGIN_FACTOR),
            )
    found.judge("small_needs_fewer_epochs", found["epochs_ratio.fixed"] > 1)
    found.judge("small_needs_more_updates", found["updates_ratio.fixed"] > 1)

    # Epochs vary with the seed and seconds with the machine: their intervals
    # are multiplied end by end, which is wider than it need be.
    reference = np.array(epoch_seconds[REFERENCE_BATCH_SIZE])
    for size in (smallest, largest):
        more_epochs = fixed[size] / fixed[REFERENCE_BATCH_SIZE]
        longer = np.array(epoch_seconds[size]) / reference
        key = f"seconds_to_target.{size}"
        if np.isnan(more_epochs).any():
            found.ratio(key, more_epochs, timing=True, reason=NOT_REACHED)
            continue
        product = np.array(mean_interval(more_epochs, ratio=True))
        product *= mean_interval(longer, ratio=True)
        count = min(len(more_epochs), len(longer))
        found.interval(key, product, count, "ratio", timing=True)
    at_smallest = found[f"seconds_to_target.{smallest}"]
    at_largest = found[f"seconds_to_target.{largest}"]
    found.judge(
        "largest_takes_most_seconds", at_largest > 1, at_largest > at_smallest
    )
    found.judge("smallest_saves_a_fifth_of_the_seconds", at_smallest < 0.8)
    for size in (64, largest):
        speedup = np.array(epoch_seconds[smallest]) / epoch_seconds[size]
        found.ratio(f"epoch_speedup.{size}", speedup, timing=True)
    found.judge(
        "epoch_is_faster_at_the_largest", found[f"epoch_speedup.{largest}"] > 1
    )


def keep_gaps(found, runs):
    """Accuracy less that of the reference size, in percentage points."""
    reference, unit = REFERENCE_BATCH_SIZE, "percentage points"
    smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
    for rule, sizes in (
        ("fixed", [size for size in BATCH_SIZES if size != reference]),
        ("root", [largest]),
        ("linear", [smallest, largest]),
    ):
        level = runs.after_all_epochs(rule, reference)
        for size in sizes:
            gap = 100 * (runs.after_all_epochs(rule, size) - level)
            found.mean(f"gap.{rule}.{size}", gap, unit)
    accuracy = runs.after_all_epochs("fixed", reference)
    found.mean(f"accuracy.fixed.{reference}", accuracy, "share")
    level = runs.accuracy_after("fixed", reference, MATCHED_UPDATES)
    for size in (smallest, largest):
        accuracy = runs.accuracy_after("fixed", size, MATCHED_UPDATES)
        found.mean(f"gap.matched.{size}", 100 * (accuracy - level), unit)

    fixed = {
        size: found[f"gap.fixed.{size}"]
        for size in BATCH_SIZES
        if size != reference
    }
    matched = found[f"gap.matched.{largest}"]
    linear = found[f"gap.linear.{largest}"]
    found.judge(
        "no_size_beats_the_reference_by_a_point",
        *(gap < MARGIN_POINTS for gap in fixed.values()),
    )
    found.judge(
        "both_ends_are_behind_the_reference",
        fixed[smallest] < 0,
        fixed[largest] < 0,
    )
    found.judge(
        "largest_is_behind_after_equal_epochs", fixed[largest] < -MARGIN_POINTS
    )
    found.judge(
        "largest_is_level_after_equal_updates", matched.within(MARGIN_POINTS)
    )
    found.judge(
        "smallest_is_behind_after_equal_updates",
        found[f"gap.matched.{smallest}"] < 0,
    )
    found.judge(
        "largest_is_level_with_linear_rate", linear.within(MARGIN_POINTS)
    )


def keep_settling(found, runs):
    """When a curve has settled, if one stops early or goes on."""
    horizons = {"half": NUM_EPOCHS // 2, "whole": NUM_EPOCHS}
    for size in (4, 8, 64, 512):
        half, whole = (
            runs.settled_epoch(size, horizon) for horizon in horizons.values()
        )
        found.mean(f"settled_later_by.{size}", whole - half, "epochs")
        found.mean(f"settled_epoch.whole.{size}", whole, "epochs")
        if size < 512:
            found.mean(f"settled_epoch.half.{size}", half, "epochs")
    found.judge(
        "settling_follows_the_length",
        *(found[f"settled_later_by.{size}"] > 0 for size in (4, 8, 64, 512)),
    )
    found.judge(
        "small_settle_later_than_claimed",
        *(
            found[f"settled_epoch.{name}.{size}"] > CLAIMED_SETTLED_EPOCH
            for name in horizons
            for size in (4, 8)
        ),
    )


def keep_curves(found, runs, epoch_seconds):
    """What the figures draw: about forty points of each curve."""

    def shown(looks, last):
        wanted = np.linspace(0, min(last, looks[-1]), 41)[1:]
        return np.unique(np.searchsorted(looks, wanted))

    # As long as the smallest size needs for its epochs.
    last_second = NUM_EPOCHS * np.mean(epoch_seconds[BATCH_SIZES[0]])
    for size in BATCH_SIZES:
        per_epoch = runs.updates_per_epoch[size]
        per_second = per_epoch / np.mean(epoch_seconds[size])
        looks = runs.looks("fixed", size)
        accuracy = runs.accuracy["fixed", size]
        for budget, last, per_unit in (
            ("epoch", NUM_EPOCHS * per_epoch, per_epoch),
            ("update", MATCHED_UPDATES, 1),
            ("second", last_second * per_second, per_second),
        ):
            if budget != "epoch" and size not in (4, 16, 64, 128, 512):
                continue
            at = shown(looks, last)
            name = f"accuracy_by_{budget}.fixed.{size}"
            found.curve(name, looks[at] / per_unit, accuracy[at], "share")
        at = shown(looks, NUM_EPOCHS * per_epoch)
        name = f"one_run.fixed.{size}"
        found.points(name, looks[at] / per_epoch, accuracy[at, 0], "share")
    for rule in LEARNING_RATE_RULES:
        reached = {}
        for size in BATCH_SIZES:
            epochs = runs.epochs_to_target(rule, size)
            missing = np.isnan(epochs).any()
            reached[size] = [None] * 3 if missing else mean_interval(epochs)
        columns = zip(*reached.values())
        name = f"epochs_to_target.{rule}"
        mean, low, high = columns
        found.points(name, BATCH_SIZES, mean, "epochs", low, high)


def plot_grid(runs):
    """The tutorial's grid. Thin: the one run that it shows. Thick: the mean."""
    figure, axes = plt.subplots(
        4, 2, figsize=(8, 10), sharex=True, sharey=True, layout="constrained"
    )
    for axis, size in zip(axes.flat, BATCH_SIZES):
        epochs = runs.looks("fixed", size) / runs.updates_per_epoch[size]
        accuracy = runs.accuracy["fixed", size]
        axis.plot(epochs, accuracy[:, 0], linewidth=0.7)
        axis.plot(epochs, accuracy.mean(axis=1), linewidth=2)
        axis.set(title=f"batch_size={size}", xlim=(0, NUM_EPOCHS))
        axis.set(xlabel="epochs", ylabel="test accuracy")
    plt.show()


def blobs_findings(updates_per_epoch, epoch_seconds, accuracy):
    """Values, judgements and series, and the tutorial's grid as a figure.

    updates_per_epoch: {batch size: number}.
    epoch_seconds: {batch size: seconds of each repeat}.
    accuracy: {(rule, batch size): [looks, seeds]}, shares of the test data.
    """
    found, runs = keep_findings(), Runs(updates_per_epoch, accuracy)
    largest = BATCH_SIZES[-1]
    for size in (4, 32, 64, largest):
        key = f"updates_per_epoch.{size}"
        found.exact(key, updates_per_epoch[size], "updates")
    found.judge(
        "one_update_at_the_largest", found[f"updates_per_epoch.{largest}"] == 1
    )
    keep_targets(found, runs, epoch_seconds)
    keep_gaps(found, runs)
    keep_settling(found, runs)
    keep_curves(found, runs, epoch_seconds)
    plot_grid(runs)
    return found.report()
