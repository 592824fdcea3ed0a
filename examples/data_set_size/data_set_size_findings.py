# %% [markdown]
# ## What is read from the runs
#
# The rate of a cell is the one with the highest validation accuracy, on
# average over the data sets. Differences are paired by data set. A judgement
# holds when the whole interval is on its side.

# %%
import matplotlib.pyplot as plt
import numpy as np

from data_set_size_problem import *
from snippets.keep_findings import keep_findings

# "No difference" is less than this, in percentage points of test accuracy.
MARGIN_POINTS = 2.0
# What is held equal, and the rate: kept for all sizes, at Adam's default or
# tenfold, or tuned (None) for each.
ARMS = {
    "low": ("epochs", 0.001),
    "high": ("epochs", 0.01),
    "tuned": ("epochs", None),
    "updates": ("updates", None),
}
FEWEST = DATA_SET_SIZES[0]
SMALLEST_BATCH, LARGEST_BATCH = BATCH_SIZES[0], BATCH_SIZES[-1]
OTHERS = [size for size in BATCH_SIZES if size != REFERENCE_BATCH_SIZE]


def points_of_arms(accuracy, best):
    """Test accuracy in percent, by (arm, examples, batch size)."""
    points = {}
    for arm, (budget, kept_rate) in ARMS.items():
        for cell in CELLS:
            rate = best[budget, *cell]
            if kept_rate:
                rate = RATES[cell[1]].index(kept_rate)
            points[arm, *cell] = 100 * accuracy[budget, "test", *cell][rate]
    return points


def keep_rates(found, accuracy, best):
    """Whether the grids were wide enough, and which rates were chosen."""
    on_the_edge = sum(
        rate in (0, len(RATES[size]) - 1) for (*_, size), rate in best.items()
    )
    found.exact("tuned_rates_on_the_edge", on_the_edge, "cells")
    found.judge(
        "no_tuned_rate_is_on_the_edge", found["tuned_rates_on_the_edge"] == 0
    )
    # The interval of a choice: what other draws of the data sets choose.
    random = np.random.default_rng(FIRST_SEED)
    draws = random.integers(NUM_DATA_SETS, size=(2000, NUM_DATA_SETS))
    keys = []
    for size in (SMALLEST_BATCH, LARGEST_BATCH):
        cell = accuracy["epochs", "validation", LARGEST, size]
        redrawn = cell[:, draws].mean(axis=2).argmax(axis=0)
        ends = np.quantile(redrawn, [0.025, 0.975]).round().astype(int)
        chosen = best["epochs", LARGEST, size]
        low, high = min(ends[0], chosen), max(ends[1], chosen)
        rates = [RATES[size][index] for index in (chosen, low, high)]
        keys.append(f"rate.epochs.{LARGEST}.{size}")
        found.interval(keys[-1], rates, NUM_DATA_SETS, "learning rate")
    found.judge(
        f"larger_batch_wants_larger_rate.{LARGEST}",
        found[keys[0]] < found[keys[1]],
    )


def keep_gaps(found, points):
    """Points above the reference size, and what else is compared with them."""
    unit = "percentage points"

    def gap(arm, num_examples, size, reference=REFERENCE_BATCH_SIZE):
        above = points[arm, num_examples, size]
        return above - points[arm, num_examples, reference]

    for arm in ARMS:
        for count in DATA_SET_SIZES:
            for size in OTHERS:
                key = f"gap.{arm}.{count}.{size}"
                found.mean(key, gap(arm, count, size), unit)
    # How much more the largest batch gains, or less it loses, with more data.
    for arm in ("high", "tuned", "updates"):
        most, fewest = (gap(arm, n, LARGEST_BATCH) for n in (LARGEST, FEWEST))
        key = f"gained_with_data.{arm}.{LARGEST_BATCH}"
        found.mean(key, most - fewest, unit)
    for count in DATA_SET_SIZES:
        across = gap("low", count, LARGEST_BATCH, SMALLEST_BATCH)
        found.mean(f"largest_over_smallest.low.{count}", across, unit)


def judge_gaps(found):
    def gap(arm, num_examples, size):
        return found[f"gap.{arm}.{num_examples}.{size}"]

    def gained(arm):
        return found[f"gained_with_data.{arm}.{LARGEST_BATCH}"]

    found.judge(
        "low.largest_is_behind_at_every_data_set_size",
        *(found[f"largest_over_smallest.low.{n}"] < 0 for n in DATA_SET_SIZES),
    )
    found.judge(
        "low.smallest_is_nowhere_behind",
        *(
            gap("low", n, SMALLEST_BATCH) > -MARGIN_POINTS
            for n in DATA_SET_SIZES
        ),
    )
    found.judge(
        "high.smallest_is_behind_with_most_data",
        gap("high", LARGEST, SMALLEST_BATCH) < 0,
    )
    found.judge("high.largest_gains_with_data", gained("high") > 0)
    found.judge(
        "tuned.no_size_is_ahead",
        *(
            gap("tuned", num_examples, size) < MARGIN_POINTS
            for num_examples in DATA_SET_SIZES
            for size in OTHERS
        ),
    )
    found.judge(
        "tuned.largest_is_behind_with_fewest_data",
        gap("tuned", FEWEST, LARGEST_BATCH) < 0,
    )
    found.judge("tuned.largest_catches_up_with_data", gained("tuned") > 0)
    found.judge(
        "updates.no_size_is_ahead_with_fewest_data",
        *(gap("updates", FEWEST, size) < MARGIN_POINTS for size in OTHERS),
    )
    found.judge(
        "updates.largest_leads_with_most_data",
        gap("updates", LARGEST, LARGEST_BATCH) > 0,
    )


def plot_accuracy(points):
    """Test accuracy against the size of the data set."""
    figure, axes = plt.subplots(
        1, len(ARMS), figsize=(12, 3.5), layout="constrained", sharey=True
    )
    for axis, arm in zip(axes, ARMS):
        for size in BATCH_SIZES:
            means = [points[arm, n, size].mean() for n in DATA_SET_SIZES]
            axis.semilogx(DATA_SET_SIZES, means, "o-", label=size)
        axis.set(title=arm, xlabel="Examples to train on")
    axes[0].set_ylabel("Test accuracy in percent")
    axes[0].legend(title="batch_size")
    plt.show()


def data_set_size_findings(updates_per_epoch, accuracy):
    """Values and judgements, and a picture of the accuracies.

    updates_per_epoch: {(examples, batch size): number}.
    accuracy: {(budget, part, examples, batch size): [rates, data sets]};
        budgets are epochs and updates, parts validation and test.
    """
    found = keep_findings()
    # The index of the best rate, by (budget, examples, batch size).
    best = {
        (budget, *cell): int(each.mean(axis=1).argmax())
        for (budget, part, *cell), each in accuracy.items()
        if part == "validation"
    }
    points = points_of_arms(accuracy, best)
    for num_examples in (FEWEST, LARGEST):
        for size in (REFERENCE_BATCH_SIZE, LARGEST_BATCH):
            key = f"updates_per_epoch.{num_examples}.{size}"
            found.exact(key, updates_per_epoch[num_examples, size], "updates")
    for arm in ("low", "tuned"):
        key = f"accuracy.{arm}.{FEWEST}.{REFERENCE_BATCH_SIZE}"
        found.mean(key, points[arm, FEWEST, REFERENCE_BATCH_SIZE], "percent")
    keep_rates(found, accuracy, best)
    keep_gaps(found, points)
    judge_gaps(found)
    plot_accuracy(points)
    return found.report()
