# %% [markdown]
# ## What is read from the runs
#
# The best rate of a seed is the one with the lowest validation loss; an
# exponent is the slope of its logarithm against that of the batch size, for
# each seed. What a rule costs is measured on the test data. A judgement holds
# when the whole interval is on its side.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from learning_rate_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

# What the rate of a rule grows with: this power of the batch size.
RULES = {"fixed": 0.0, "root": 0.5, "linear": 1.0}
# "Too high" is this many factors of two above the tuned rate.
TOO_HIGH_STEPS = 2
# "No worse than tuned" is less than this, in percentage points of test
# accuracy. Set beforehand.
MARGIN_POINTS = 2.0
NOT_TRIED = "a rate outside the map"
SECOND_LARGEST, LARGEST = BATCH_SIZES[-2:]
STUDIES = list(product(BUDGETS, SPLITS, OPTIMIZERS))


class Map:
    """The runs at all rates, by study (budget, data, optimizer) and size."""

    def __init__(self, maps):
        self.maps = maps

    def best_index(self, study, size):
        """The rate with the lowest loss, on average over the seeds."""
        return int(self.maps[*study, size]["loss"].mean(axis=1).argmin())

    def best_rates(self, study, size):
        """The rate with the lowest loss, of each seed."""
        loss = self.maps[*study, size]["loss"]
        return rates_for(*study, size)[loss.argmin(axis=0)]

    def exponents(self, study, sizes):
        """With which power of the size the best rate grows, of each seed."""
        best = [self.best_rates(study, size) for size in sizes]
        return np.polyfit(np.log2(sizes), np.log2(best), 1)[0]

    def accuracy_by(self, rule, study, size):
        """Test accuracy of each seed at a rule's rate; nan outside the map.

        Between two rates of the map it is interpolated, in log rate.
        """
        accuracy = self.maps[*study, size]["accuracy"]
        if rule == "tuned":
            return accuracy[self.best_index(study, size)]
        # From the mean of the seeds, so that no step of the grid decides.
        best = np.log2(self.best_rates(study, REFERENCE_BATCH_SIZE)).mean()
        wanted = best + RULES[rule] * np.log2(size / REFERENCE_BATCH_SIZE)
        tried = np.log2(rates_for(*study, size))
        if not tried[0] <= wanted <= tried[-1]:
            return np.full(NUM_SEEDS, np.nan)
        return np.array([np.interp(wanted, tried, seed) for seed in accuracy.T])


def prefix_of(budget):
    """Equal epochs are what the rules are stated for; they need no prefix."""
    return "" if budget == "epochs" else f"{budget}."


def keep_rates(found, runs):
    """The best rates, and how they move with the batch size."""
    on_the_edge = 0
    for study in STUDIES:
        budget, name, optimizer = study
        timing = budget == "seconds"
        parts = {"all": BATCH_SIZES}
        if budget == "epochs" or study == ("updates", "digits", "adam"):
            parts |= {"small": BATCH_SIZES[:3], "large": BATCH_SIZES[2:]}
        for part, sizes in parts.items():
            key = f"exponent.{prefix_of(budget)}{part}.{name}.{optimizer}"
            exponents = runs.exponents(study, sizes)
            found.mean(key, exponents, "1", timing=timing)
        for size in BATCH_SIZES:
            inside = 0 < runs.best_index(study, size) < 2 * RATE_STEPS
            on_the_edge += not inside
    for size in (SECOND_LARGEST, LARGEST):
        best = runs.best_rates(("epochs", "digits", "adam"), size)
        found.ratio(f"best_rate.digits.adam.{size}", best, "1")
    found.exact("tuned_rates_on_the_edge", on_the_edge, "rates")
    found.judge(
        "no_tuned_rate_is_on_the_edge", found["tuned_rates_on_the_edge"] == 0
    )
    small, large = (
        {
            optimizer: found[f"exponent.{part}.mnist1d.{optimizer}"]
            for optimizer in OPTIMIZERS
        }
        for part in ("small", "large")
    )
    found.judge("sgd_begins_in_proportion", small["sgd"] > 0.75)
    found.judge("sgd_stops_rising", large["sgd"] < 0.5)
    found.judge("momentum_goes_on_rising", large["momentum"] > 0.5)
    for name in SPLITS:
        exponent = found[f"exponent.all.{name}.adam"]
        found.judge(
            f"adam_follows_the_root.{name}", exponent.between(0.25, 0.75)
        )
        for optimizer in ("momentum", "adam"):
            place = f"all.{name}.{optimizer}"
            found.judge(
                f"moves_less_at_equal_updates.{name}.{optimizer}",
                found[f"exponent.updates.{place}"] < found[f"exponent.{place}"],
            )


def keep_costs(found, runs):
    """What a rule loses against the tuned rate, in percentage points."""
    places = list(product(SPLITS, OPTIMIZERS, [SECOND_LARGEST, LARGEST]))
    for name, optimizer, size in [*places, ("digits", "sgd", 64)]:
        study = "epochs", name, optimizer
        tuned = runs.accuracy_by("tuned", study, size)
        for rule in RULES:
            lost = 100 * (tuned - runs.accuracy_by(rule, study, size))
            key = f"lost.{rule}.{name}.{optimizer}.{size}"
            found.mean(key, lost, "percentage points", reason=NOT_TRIED)
    for name in SPLITS:
        lost = f"lost.linear.{name}.adam"
        found.judge(
            f"linear_rule_breaks_adam.{name}",
            (found[f"{lost}.{SECOND_LARGEST}"] > MARGIN_POINTS)
            | (found[f"{lost}.{LARGEST}"] > MARGIN_POINTS),
        )
    found.judge(
        "linear_rule_breaks_momentum_on_digits",
        found[f"lost.linear.digits.momentum.{LARGEST}"] > 10,
    )
    found.judge(
        "linear_rule_serves_momentum_on_mnist1d",
        found[f"lost.linear.mnist1d.momentum.{SECOND_LARGEST}"] < MARGIN_POINTS,
    )


def keep_warmups(found, runs, warmed):
    """What a warm-up gains, in percentage points of test accuracy."""
    for optimizer, run in warmed.items():
        study = "epochs", "mnist1d", optimizer
        without = runs.maps[*study, WARMUP_BATCH_SIZE]["accuracy"]
        tuned = runs.best_index(study, WARMUP_BATCH_SIZE)
        tuned_again = run["loss"].mean(axis=1).argmin()
        too_high = min(tuned + TOO_HIGH_STEPS, 2 * RATE_STEPS)
        pairs = {"gain": (tuned_again, tuned)}
        if optimizer != "sgd":
            pairs["gain_too_high"] = too_high, too_high
        for key, (index, before) in pairs.items():
            gain = 100 * (run["accuracy"][index] - without[before])
            key = f"warmup.{key}.{optimizer}"
            found.mean(key, gain, "percentage points")
    found.judge(
        "warmup_saves_adam_at_too_high_a_rate",
        found["warmup.gain_too_high.adam"] > 0,
    )
    per_epoch = updates_in("mnist1d", WARMUP_BATCH_SIZE, 1)
    key = f"updates_per_epoch.{WARMUP_BATCH_SIZE}"
    found.exact(key, per_epoch, "updates")


def keep_curves(found, curves, update_seconds):
    """The three sizes on three axes, and how far they end apart."""
    first, *others = CURVE_BATCH_SIZES
    seconds = {size: update_seconds[size].mean() for size in curves}
    last = updates_in("mnist1d", first, CURVE_EPOCHS)
    for number, rule in enumerate(CURVE_RULES):
        level = curves[first]["accuracy"][-1, number]
        for size, run in curves.items():
            updates, loss = run["updates"], run["loss"][:, number]
            per_epoch = updates_in("mnist1d", size, 1)
            for budget, unit, end in (
                ("epoch", 1 / per_epoch, CURVE_EPOCHS),
                ("update", 1, last),
                ("second", seconds[size], last * seconds[first]),
            ):
                shown = updates * unit <= end
                name, x = f"curve.{budget}.{rule}.{size}", updates[shown] * unit
                found.curve(name, x, loss[shown], "nats")
                if size not in others:
                    continue
                reached = run["accuracy"][shown, number][-1]
                found.mean(
                    f"curve_gap.{budget}s.{rule}.{size}",
                    100 * (reached - level),
                    "percentage points",
                    timing=budget == "second",
                )
    cost = update_seconds[LARGEST] / update_seconds[first]
    found.ratio(f"update_cost.{LARGEST}", cost, timing=True)
    by_epochs = {
        rule: found[f"curve_gap.epochs.{rule}.{LARGEST}"]
        for rule in CURVE_RULES
    }
    found.judge("one_rate_holds_the_largest_back", by_epochs["fixed"] < -10)
    found.judge(
        "linear_rule_helps_the_largest",
        by_epochs["linear"] > by_epochs["fixed"],
    )
    found.judge(
        "largest_is_no_worse_after_equal_updates",
        found[f"curve_gap.updates.tuned.{LARGEST}"] > -MARGIN_POINTS,
    )


def keep_lines(found, runs, warmed):
    """What the figures draw of the map."""
    for study, size in product(STUDIES, BATCH_SIZES):
        loss, rates = runs.maps[*study, size]["loss"], rates_for(*study, size)
        found.curve(f"map.{'.'.join(study)}.{size}", rates, loss, "nats")
    rates = rates_for("epochs", "mnist1d", "adam", WARMUP_BATCH_SIZE)
    found.curve("warmup.adam", rates, warmed["adam"]["loss"], "nats")
    for study in STUDIES:
        budget, name, optimizer = study
        best = [runs.best_rates(study, size) for size in BATCH_SIZES]
        intervals = [mean_interval(each, ratio=True) for each in best]
        key = f"best_rate.{budget}.{name}.{optimizer}"
        middle, low, high = zip(*intervals)
        found.points(key, BATCH_SIZES, middle, "1", low, high)
        for rule in [*RULES, "tuned"]:
            intervals = []
            for size in BATCH_SIZES:
                accuracy = runs.accuracy_by(rule, study, size)
                tried = np.isfinite(accuracy).all()
                intervals.append(
                    mean_interval(accuracy) if tried else [None] * 3
                )
            key = f"rule.{budget}.{rule}.{name}.{optimizer}"
            middle, low, high = zip(*intervals)
            found.points(key, BATCH_SIZES, middle, "share", low, high)


def plot_best_rates(runs):
    """The best rate against the batch size, after equal epochs."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, name in zip(axes, SPLITS):
        for optimizer in OPTIMIZERS:
            study = "epochs", name, optimizer
            best = [runs.best_rates(study, size) for size in BATCH_SIZES]
            middle = np.exp(np.log(best).mean(axis=1))
            axis.loglog(BATCH_SIZES, middle, "o-", base=2, label=optimizer)
        axis.set(title=name, xlabel="Batch size", ylabel="Best learning rate")
    axes[0].legend()
    plt.show()


def learning_rate_findings(update_seconds, maps, warmed, curves):
    """Values, judgements and series, and the best rates as a figure.

    update_seconds: {batch size: seconds of an update, of each repeat}.
    maps: {(budget, data, optimizer, batch size): {"loss": of the validation
        data, "accuracy": share of the test data}}, each [rates, seeds].
    warmed: {optimizer: the same, at WARMUP_BATCH_SIZE with a warm-up}.
    curves: {batch size: {"updates": [looks], "loss" and "accuracy": [looks,
        rules, seeds]}}.
    """
    found, runs = keep_findings(), Map(maps)
    keep_rates(found, runs)
    keep_costs(found, runs)
    keep_warmups(found, runs, warmed)
    keep_curves(found, curves, update_seconds)
    keep_lines(found, runs, warmed)
    plot_best_rates(runs)
    return found.report()
