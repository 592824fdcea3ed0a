# %% [markdown]
# ## What is read from the runs
#
# Accuracy is that on the test data, at the end. Differences pair the runs
# that began from the same weights and saw the examples in the same order. A
# judgement holds when the whole interval is on its side.

# %%
import matplotlib.pyplot as plt
import numpy as np

from growing_the_batch_problem import *
from snippets.keep_findings import keep_findings

# "The same" is less than this, in percentage points of test accuracy. Set
# beforehand.
MARGIN_POINTS = 1.0
POINTS = "percentage points"
SMALLEST, LARGEST = START_BATCH_SIZES[0], START_BATCH_SIZES[-1]
# Of which runs the text tells the loss.
LOSSES = [("adam", SMALLEST, way) for way in WAYS if way != "decay"]
LOSSES += [("momentum", SMALLEST, "neither"), ("momentum", LARGEST, "grow")]


def keep_budgets(found, update_seconds):
    """Updates and seconds of growing and of decaying."""
    updates, seconds = {}, {}
    for way in ("grow", "decay"):
        epochs = epochs_of(way, SMALLEST)
        updates[way] = sum(count for count, _, _ in epochs)
        seconds[way] = sum(
            count * update_seconds[size] for count, size, _ in epochs
        )
        key = f"updates.{way}.{SMALLEST}"
        found.exact(key, updates[way], "updates")
    saved = updates["decay"] / updates["grow"]
    found.exact(f"updates_saved.grow.{SMALLEST}", saved, "ratio")
    longer = seconds["grow"] / seconds["decay"]
    found.ratio(f"seconds.grow.{SMALLEST}", longer, timing=True)
    last_updates, last_size, _ = epochs_of("grow", LARGEST)[-1]
    found.exact(f"updates_per_epoch.{last_size}", last_updates, "updates")


def keep_gaps(found, runs):
    """Each way less decaying, in accuracy and in validation loss."""

    def gap(optimizer, start, way):
        """In percentage points of test accuracy, of each seed."""
        grown, decayed = (
            runs[optimizer, start, way],
            runs[optimizer, start, "decay"],
        )
        return 100 * (grown["accuracy"] - decayed["accuracy"])

    for optimizer, start, way in runs:
        if way != "decay" and start in (SMALLEST, LARGEST):
            key = f"gap.{optimizer}.{way}.{start}"
            found.mean(key, gap(optimizer, start, way), POINTS)
    for optimizer, start, way in LOSSES:
        grown, decayed = (
            capped(runs[optimizer, start, each]["loss"][-1])
            for each in (way, "decay")
        )
        key = f"loss_gap.{optimizer}.{way}.{start}"
        found.mean(key, grown - decayed, "nats")
    for start in (SMALLEST, LARGEST):
        accuracy = runs["momentum", start, "decay"]["accuracy"]
        found.mean(f"accuracy.momentum.decay.{start}", accuracy, "share")
    for optimizer in OPTIMIZERS:
        gaps = [gap(optimizer, start, "grow") for start in START_BATCH_SIZES]
        found.curve(f"gap.{optimizer}", START_BATCH_SIZES, gaps, POINTS)


def judge(found, best):
    """What holds of the ways to train."""
    for (optimizer, start), index in best.items():
        key = f"rate_step.{optimizer}.{start}"
        found.exact(key, RATE_STEPS[index], "factors of two")
    found.judge(
        "no_rate_is_on_the_edge",
        *(
            found[f"rate_step.{optimizer}.{start}"].between(
                RATE_STEPS[0], RATE_STEPS[-1]
            )
            for optimizer, start in best
        ),
    )
    for optimizer in OPTIMIZERS:
        found.judge(
            f"growing_equals_decaying.{optimizer}",
            found[f"gap.{optimizer}.grow.{SMALLEST}"].within(MARGIN_POINTS),
        )
        found.judge(
            f"either_lowers_the_loss.{optimizer}",
            found[f"loss_gap.{optimizer}.neither.{SMALLEST}"] > 0,
        )
    found.judge(
        "both_lower_the_loss_more.adam",
        found[f"loss_gap.adam.both.{SMALLEST}"] < 0,
    )
    found.judge(
        "large_starts_fall_behind.momentum",
        found[f"loss_gap.momentum.grow.{LARGEST}"] > 0,
        found[f"gap.momentum.grow.{LARGEST}"] < 0,
    )
    found.judge(
        "large_starts_stay_level.adam",
        found[f"gap.adam.grow.{LARGEST}"].within(MARGIN_POINTS),
    )


def keep_curves(found, runs, update_seconds):
    """Validation loss on the way, from the smallest start."""
    for optimizer in OPTIMIZERS:
        for way in ("neither", "decay", "grow"):
            epochs = epochs_of(way, SMALLEST)
            seconds = [
                count * update_seconds[size].mean() for count, size, _ in epochs
            ]
            loss = capped(runs[optimizer, SMALLEST, way]["loss"])
            for budget, x_of in {
                "epoch": np.arange(1, NUM_EPOCHS + 1),
                "update": np.cumsum([count for count, _, _ in epochs]),
                "second": np.cumsum(seconds),
            }.items():
                name = f"loss.{budget}.{optimizer}.{way}"
                found.curve(name, x_of, loss, "nats")


def plot_losses(runs):
    """Validation loss on the way, of all ways."""
    figure, axes = plt.subplots(
        1, len(OPTIMIZERS), figsize=(9, 3.5), layout="constrained"
    )
    for axis, optimizer in zip(axes, OPTIMIZERS):
        for way in WAYS:
            loss = capped(runs[optimizer, SMALLEST, way]["loss"]).mean(axis=1)
            axis.plot(range(1, NUM_EPOCHS + 1), loss, label=way)
        axis.set(title=optimizer, xlabel="Epochs", ylabel="Validation loss")
    axes[0].legend()
    plt.show()


def growing_the_batch_findings(update_seconds, best, runs):
    """Values, judgements and series, and the losses as a figure.

    update_seconds: {batch size: seconds of an update, of each repeat}.
    best: {(optimizer, start): index of the rate among those tried}.
    runs: {(optimizer, start, way): {"loss": of the validation data [epochs,
        seeds], "accuracy": share of the test data [seeds]}}.
    """
    found = keep_findings()
    keep_budgets(found, update_seconds)
    keep_gaps(found, runs)
    judge(found, best)
    keep_curves(found, runs, update_seconds)
    plot_losses(runs)
    return found.report()
