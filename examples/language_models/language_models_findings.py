# %% [markdown]
# ## What is read from the runs
#
# The rate of one half of the seeds is the one with the lowest mean loss in
# the other half. A ratio pairs the runs of one seed, which share language,
# text and initial weights. A judgement holds when the whole interval is on
# its side.

# %%
import matplotlib.pyplot as plt

from language_models_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

# "No worse" is less than this, in nats per character. Set beforehand.
MARGIN_NATS = 0.02
# "Too high" is so many factors of two above the tuned rate.
TOO_HIGH_STEPS = 2
NOT_REACHED = "not every run became as good as a table of pairs"
# The largest size makes too few updates to be judged with the others.
SMALL_SIZES = BATCH_SIZES[:-1]
SMALLEST, LARGEST = BATCH_SIZES[0], BATCH_SIZES[-1]
everyone = np.arange(NUM_SEEDS)
# By how much a table of pairs is worse than the best possible model.
pair_gap = np.array([each.pair_entropy - each.entropy for each in languages])


class Runs:
    """What the runs of a kind of optimizer and a batch size say, by seed."""

    def __init__(self, excess):
        self.excess = excess

    def chosen_rates(self, kind, size):
        """Index of the rate of each seed, chosen on the other half of them."""
        final = self.excess[kind, size][-1]
        halves = [
            final[:, everyone % 2 != half].mean(axis=1).argmin()
            for half in (0, 1)
        ]
        return np.take(halves, everyone % 2)

    def tuned(self, kind, size, steps=0):
        """Excess loss [looks, seeds], at the tuned rate or above it."""
        chosen = self.chosen_rates(kind, size) + steps
        chosen = np.minimum(chosen, NUM_RATES - 1)
        return self.excess[kind, size][:, chosen, everyone]

    def final(self, kind, size, steps=0):
        return self.tuned(kind, size, steps)[-1]

    def best_rates(self, kind, size):
        """Best rate of each seed: the lowest point of a parabola.

        The parabola goes through the logarithms of the lowest loss and of
        its neighbours, so that the answer is not bound to the grid.
        """
        final = np.log(self.excess[kind, size][-1])
        middle = final.argmin(axis=0).clip(1, NUM_RATES - 2)
        left, here, right = (
            final[middle + step, everyone] for step in (-1, 0, 1)
        )
        bend = left - 2 * here + right
        # A short run may be flat.
        shift = np.where(bend > 0, (left - right) / (2 * bend + 1e-12), 0)
        return rates_for(kind, size)[middle] * 2.0 ** shift.clip(-1, 1)

    def epochs_to_pairs(self, kind, size):
        """Epochs until as good as a table of pairs; nan where never.

        Between two looks it is interpolated, in log updates.
        """
        updates = np.log(looks_at(size))
        found = []
        for excess, wanted in zip(self.tuned(kind, size).T, pair_gap):
            reached = np.flatnonzero(excess <= wanted)
            if not len(reached) or not reached[0]:
                found.append(np.nan)
                continue
            pair = slice(reached[0] - 1, reached[0] + 1)
            # np.interp wants rising numbers.
            found.append(np.interp(-wanted, -excess[pair], updates[pair]))
        return np.exp(found) * size / NUM_EXAMPLES


def keep_losses(found, runs):
    """Excess loss after one pass, and against that of one sequence."""
    for kind in KINDS:
        alone = runs.final(kind, SMALLEST)
        for size in BATCH_SIZES:
            excess = runs.final(kind, size)
            found.mean(f"excess.{kind}.{size}", excess, "nats")
            if size != SMALLEST:
                key = f"worse_than_one.{kind}.{size}"
                found.mean(key, excess - alone, "nats")
            if size != LARGEST or kind == "sgd":
                learned = 1 - excess / pair_gap
                found.mean(f"learned.{kind}.{size}", learned, "share")
        keys = [f"excess.{kind}.{size}" for size in BATCH_SIZES]
        found.line(f"final.{kind}", BATCH_SIZES, keys)
        found.judge(
            f"one_is_no_worse.{kind}",
            *(
                found[f"worse_than_one.{kind}.{size}"] > -MARGIN_NATS
                for size in BATCH_SIZES[1:]
            ),
        )
    found.judge(
        "all_but_the_largest_learn",
        *(
            found[f"learned.{kind}.{size}"] > 0
            for kind in KINDS
            for size in SMALL_SIZES
        ),
    )
    for kind in ("adam_default", "adam_kept"):
        worse = found[f"worse_than_one.{kind}.{LARGEST}"]
        found.judge(f"largest_is_worse.{kind}", worse > MARGIN_NATS)
        keys = []
        for size in (SMALLEST, LARGEST):
            look = looks_at(size).index(looks_at(LARGEST)[-1])
            keys.append(f"excess_after_equal_updates.{kind}.{size}")
            found.mean(keys[-1], runs.tuned(kind, size)[look], "nats")
        found.judge(
            f"largest_leads_after_equal_updates.{kind}",
            found[keys[1]] < found[keys[0]],
        )


def keep_ratios(found, runs):
    """Excess loss as a multiple of Adam's with the half-life kept."""

    def ratio(kind, size, steps=0):
        kept = runs.final("adam_kept", size, steps)
        return runs.final(kind, size, steps) / kept

    for kind, sizes in {
        "adam_short": [SMALLEST, LARGEST],
        "adam_default": [SMALLEST, LARGEST],
        "sgd": [1, 4, REFERENCE_BATCH_SIZE],
    }.items():
        for size in sizes:
            found.ratio(f"ratio.{kind}.{size}", ratio(kind, size))
    too_high = ratio("adam_short", SMALLEST, TOO_HIGH_STEPS)
    found.ratio("ratio_too_high.adam_short.1", too_high)
    grows = ratio("sgd", REFERENCE_BATCH_SIZE) / ratio("sgd", SMALLEST)
    found.ratio(f"sgd_ratio_grows.{REFERENCE_BATCH_SIZE}", grows)
    for judgement, key in {
        "kept_half_life_helps_at_one": "ratio.adam_short.1",
        "kept_half_life_forgives_at_one": "ratio_too_high.adam_short.1",
        "sgd_comes_closer_at_one": f"sgd_ratio_grows.{REFERENCE_BATCH_SIZE}",
        "sgd_is_behind_at_one": "ratio.sgd.1",
    }.items():
        found.judge(judgement, found[key] > 1)
    found.judge(
        "default_beta_is_better_at_the_largest",
        found[f"ratio.adam_default.{LARGEST}"] < 1,
    )


def keep_rates(found, runs):
    """The best rates, the powers of the batch size they follow, the grids."""
    on_the_edge = 0
    for kind in KINDS:
        best = {size: runs.best_rates(kind, size) for size in BATCH_SIZES}
        for size in BATCH_SIZES:
            chosen = runs.chosen_rates(kind, size)
            on_the_edge += np.isin(chosen, (0, NUM_RATES - 1)).any()
        rows = [mean_interval(best[size], ratio=True) for size in BATCH_SIZES]
        mean, low, high = zip(*rows)
        found.points(f"best_rate.{kind}", BATCH_SIZES, mean, "1", low, high)
        rates = np.log2([best[size] for size in SMALL_SIZES])
        slope = np.polyfit(np.log2(SMALL_SIZES), rates, 1)[0]
        key = f"exponent.small.{kind}"
        found.mean(key, slope, "1")
        if kind != "adam_short":
            found.judge(
                f"rate_rises_faster_than_the_root.{kind}", found[key] > 0.5
            )
        if kind in ("sgd", "adam_kept"):
            found.judge(f"rate_rises_slower_than_linear.{kind}", found[key] < 1)
            rise = best[SMALL_SIZES[-1]] / best[SMALLEST]
            found.ratio(f"best_rate_rise.small.{kind}", rise)
    found.exact("tuned_rates_on_the_edge", int(on_the_edge), "cells")
    found.judge(
        "every_tuned_rate_is_inside", found["tuned_rates_on_the_edge"] == 0
    )
    for kind in ("adam_short", "adam_kept"):
        for size in BATCH_SIZES:
            rates = rates_for(kind, size)
            final = runs.excess[kind, size][-1]
            found.curve(f"map.{kind}.{size}", rates, final, "nats")


def keep_costs(found, runs, update_seconds):
    """What a pass and the way to the table take, in epochs and seconds."""
    cost = {
        size: seconds / update_seconds[SMALLEST]
        for size, seconds in update_seconds.items()
    }
    for size in (16, LARGEST):
        found.ratio(f"update_cost.{size}", cost[size], timing=True)
    epoch_cost = cost[LARGEST] * SMALLEST / LARGEST
    found.ratio(f"epoch_cost.{LARGEST}", epoch_cost, timing=True)
    epochs = {
        size: runs.epochs_to_pairs("adam_kept", size) for size in BATCH_SIZES
    }
    for size in (SMALLEST, LARGEST):
        key = f"epochs_to_pairs.adam_kept.{size}"
        found.mean(key, epochs[size], "epochs", reason=NOT_REACHED)
    # Epochs vary with the seed and seconds with the machine: their intervals
    # are multiplied end by end, which is wider than it need be.
    size, key = 64, "seconds_to_pairs.adam_kept.64"
    fewer = epochs[size] / epochs[SMALLEST]
    if np.isnan(fewer).any():
        found.ratio(key, fewer, timing=True, reason=NOT_REACHED)
    else:
        product = np.array(mean_interval(fewer, ratio=True))
        product *= mean_interval(cost[size] / size, ratio=True)
        count = min(NUM_SEEDS, TIMED_REPEATS)
        found.interval(key, product, count, "ratio", timing=True)
    found.judge("one_takes_more_seconds.adam_kept", found[key] < 1)

    for kind in ("sgd", "adam_kept"):
        for size in BATCH_SIZES:
            updates, excess = np.array(looks_at(size)), runs.tuned(kind, size)
            for budget, per_update in {
                "epoch": size / NUM_EXAMPLES,
                "update": 1,
                "second": update_seconds[size].mean(),
            }.items():
                name = f"loss_by_{budget}.{kind}.{size}"
                found.curve(name, updates * per_update, excess, "nats")


def plot_losses(found):
    """Excess loss after one pass against the batch size."""
    figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for kind in KINDS:
        line = found.series[f"final.{kind}"]
        axis.plot(line["x"], line["y"], "o-", label=kind)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set(xlabel="Sequences per update", ylabel="Excess loss (nats)")
    axis.legend()
    plt.show()


def language_models_findings(update_seconds, excess):
    """Values, judgements and series, and a picture of the losses.

    update_seconds: {batch size: seconds of each repeat}.
    excess: {(kind, batch size): [looks, rates, seeds]}, in nats.
    """
    found, runs = keep_findings(), Runs(excess)
    for name in ("entropy", "pair_entropy"):
        found.mean(name, [getattr(each, name) for each in languages], "nats")
    found.exact(
        f"updates_per_epoch.{LARGEST}", looks_at(LARGEST)[-1], "updates"
    )
    for size in (SMALLEST, LARGEST):
        found.exact(f"beta.adam_kept.{size}", beta_of("adam_kept", size), "1")
    for kind, size in {
        "adam_kept": REFERENCE_BATCH_SIZE,
        "adam_short": SMALLEST,
    }.items():
        half_life = size * np.log(0.5) / np.log(beta_of(kind, size))
        found.exact(f"half_life.{kind}.{size}", half_life, "examples")
    keep_losses(found, runs)
    keep_ratios(found, runs)
    keep_rates(found, runs)
    keep_costs(found, runs, update_seconds)
    plot_losses(found)
    return found.report()
