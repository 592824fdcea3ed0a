# %% [markdown]
# ## What is read from the runs
#
# A judgement holds when the whole interval is on its side. Differences are
# paired by data set.

# %%
import matplotlib.pyplot as plt
import numpy as np

from snippets.keep_findings import keep_findings
from tabular_problem import *

# "No difference" is less than this, in percentage points of test accuracy.
# Set beforehand.
MARGIN_POINTS = 1.0
# Times that the data sets are drawn again among themselves.
NUM_DRAWS = 2000
SMALLEST, *LARGER = BATCH_SIZES
LARGEST = BATCH_SIZES[-1]


def lowest_loss(run):
    """Of each data set; what the lesson compares."""
    loss, _ = run
    return loss.min(axis=0)


def choose_rate(found, key, losses):
    """The rate with the lowest validation loss, on average.

    Its interval says which rates other draws of the data sets would choose.
    losses: [rates, data sets].
    """
    random = np.random.default_rng(FIRST_SEED)
    draws = random.integers(NUM_DATA_SETS, size=(NUM_DRAWS, NUM_DATA_SETS))
    best = losses.mean(axis=1).argmin()
    redrawn = losses[:, draws].mean(axis=2).argmin(axis=0)
    low, high = np.quantile(redrawn, [0.025, 0.975]).round().astype(int)
    ends = best, min(low, best), max(high, best)
    rates = [LEARNING_RATES[end] for end in ends]
    found.interval(key, rates, NUM_DATA_SETS, "learning rate")
    return LEARNING_RATES[best]


def keep_rates(found, kind, by_rate):
    """What each rate gives. Returns the chosen rate of each size."""
    chosen = {}
    for size in BATCH_SIZES:
        runs = [by_rate[kind, size, rate] for rate in LEARNING_RATES]
        losses = np.array([lowest_loss(run) for run in runs])
        key = f"chosen_rate.{kind}.{size}"
        chosen[size] = choose_rate(found, key, losses)
        name = f"loss_by_rate.{kind}.{size}"
        found.curve(name, LEARNING_RATES, losses, "nats")
    rates = [found[f"chosen_rate.{kind}.{size}"] for size in BATCH_SIZES]
    ends = LEARNING_RATES[0], LEARNING_RATES[-1]
    found.judge(
        f"best_rates_lie_inside_the_grid.{kind}",
        *(rate.between(*ends) for rate in rates),
    )
    found.judge(f"larger_batch_wants_larger_rate.{kind}", rates[-1] > rates[0])
    return chosen


def keep_losses(found, kind, arms):
    """Validation losses, and how far they end above their lowest."""
    published, _, matched = arms.values()
    above = f"loss_above_smallest.published.{kind}"
    for size in BATCH_SIZES:
        loss = lowest_loss(published[size])
        found.mean(f"validation_loss.published.{kind}.{size}", loss, "nats")
        if size in LARGER:
            difference = loss - lowest_loss(published[SMALLEST])
            found.mean(f"{above}.{size}", difference, "nats")
    found.judge(
        f"published.smallest_has_lowest_loss.{kind}",
        *(found[f"{above}.{size}"] > 0 for size in LARGER),
    )
    # What a lesson that runs each size once would see.
    losses = [lowest_loss(published[size]) for size in BATCH_SIZES]
    key = f"single_runs_with_smallest_best.{kind}"
    wins = np.argmin(losses, axis=0) == 0
    found.share(key, wins, "share of data sets")
    small, large = (
        matched[size][0][-1] - lowest_loss(matched[size])
        for size in (SMALLEST, LARGEST)
    )
    key = f"rise_above_smallest.{kind}"
    found.mean(key, large - small, "nats")
    found.judge(f"matched.largest_overfits_most.{kind}", found[key] > 0)


def points_below(runs, size):
    """How far test accuracy is below that of the smallest size."""
    return 100 * (runs[SMALLEST][1] - runs[size][1])


def keep_accuracy(found, kind, arms):
    """Points of test accuracy below the smallest size, in each comparison.

    arms: {comparison: {batch size: run}}.
    """
    for arm, runs in arms.items():
        name = f"points_below_smallest.{arm}.{kind}"
        for size in LARGER:
            points = points_below(runs, size)
            found.mean(f"{name}.{size}", points, "percentage points")
        gaps = [found[f"{name}.{size}"] for size in LARGER]
        if arm == "published":
            found.judge(f"published.largest_is_worse.{kind}", gaps[-1] > 0)
        elif (arm, kind) != ("tuned", "easy"):
            # There the interval is near the margin: the text gives it as an
            # interval, and no judgement is made of it.
            found.judge(
                f"{arm}.no_difference.{kind}",
                *(gap.within(MARGIN_POINTS) for gap in gaps),
            )


def keep_tuning(found, arms):
    """What a rate of its own does for the largest size, on the hard data."""
    published, tuned, _ = arms.values()
    won = points_below(published, LARGEST) - points_below(tuned, LARGEST)
    found.mean("points_won_by_tuning.hard", won, "percentage points")
    found.judge(
        "tuning_narrows_the_gap.hard", found["points_won_by_tuning.hard"] > 0
    )
    above = lowest_loss(tuned[LARGEST]) - lowest_loss(tuned[SMALLEST])
    found.mean(f"loss_above_smallest.tuned.hard.{LARGEST}", above, "nats")


def keep_curves(found, kind, arms, epoch_seconds):
    """Validation loss at equal epochs, then with as many updates for all."""
    published, _, matched = arms.values()
    updates = looks_at(MATCHED_UPDATES)
    for size in BATCH_SIZES:
        seconds = updates / UPDATES_PER_EPOCH[size]
        seconds = seconds * np.mean(epoch_seconds[size])
        for budget, x, (loss, _) in (
            ("epoch", np.arange(1, NUM_EPOCHS + 1), published[size]),
            ("update", updates, matched[size]),
            ("second", seconds, matched[size]),
        ):
            name = f"loss_by_{budget}.{kind}.{size}"
            found.curve(name, x, loss, "nats")


def plot_rates(found):
    """The lowest point of each line is the rate that was chosen."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for axis, kind in zip(axes, DATA):
        for size in BATCH_SIZES:
            line = found.series[f"loss_by_rate.{kind}.{size}"]
            label = f"batch_size={size}"
            axis.plot(line["x"], line["y"], marker="o", label=label)
        axis.set(title=kind, xscale="log", xlabel="learning rate")
        axis.set_ylabel("lowest validation loss")
        axis.legend()
    plt.show()


def tabular_findings(epoch_seconds, by_rate, matched):
    """Values, judgements and series, and loss against rate as a figure.

    epoch_seconds: {batch size: seconds of each repeat}.
    by_rate: {(kind of data, batch size, rate): run} at equal epochs.
    matched: {(kind of data, batch size): run} with equal updates.
    A run is (validation loss [looks, data sets], test accuracy [data sets]).
    """
    found = keep_findings()
    for size in (SMALLEST, LARGEST):
        key = f"updates_per_epoch.{size}"
        found.exact(key, UPDATES_PER_EPOCH[size], "updates")
    key = f"epoch_speedup.{LARGEST}"
    speedup = np.array(epoch_seconds[SMALLEST]) / epoch_seconds[LARGEST]
    found.ratio(key, speedup, timing=True)
    found.judge("epoch_is_faster_at_the_largest", found[key] > 1)
    for kind in DATA:
        chosen = keep_rates(found, kind, by_rate)
        arms = {"published": {}, "tuned": {}, "matched": {}}
        for size in BATCH_SIZES:
            arms["published"][size] = by_rate[kind, size, LEARNING_RATE]
            arms["tuned"][size] = by_rate[kind, size, chosen[size]]
            arms["matched"][size] = matched[kind, size]
        keep_losses(found, kind, arms)
        keep_accuracy(found, kind, arms)
        keep_curves(found, kind, arms, epoch_seconds)
        if kind == "hard":
            keep_tuning(found, arms)
    plot_rates(found)
    return found.report()
