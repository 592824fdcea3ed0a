# %% [markdown]
# ## What is read from the runs
#
# The rate of a size is the one that reaches the target on the validation data
# in the fewest updates; the updates reported are those on the test data. The
# hyperbola is fitted for each seed, to the logarithms. A judgement holds when
# the whole interval is on its side.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares

from critical_batch_size_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

# The noise scale "predicts" within the first factor; the cheap estimate is
# "that of the exact one" within the second.
PREDICTION_FACTOR = 2.0
ESTIMATE_FACTOR = 1.25
# Seconds are shown against those of this size.
REFERENCE_BATCH_SIZE = 64
NOT_REACHED = "not every run reached the target"
SMALLEST, LARGEST = BATCH_SIZES[0], BATCH_SIZES[-1]


def hyperbola(sizes, updates):
    """Least updates, critical batch size, and mean error of the fit."""

    def error(fitted):
        least, critical = fitted
        predicted = least + np.log1p(np.exp(critical) / np.array(sizes))
        return predicted - np.log(updates)

    result = least_squares(error, np.log([updates[-1], 32]))
    return *np.exp(result.x), np.sqrt((result.fun**2).mean())


class Study:
    """Updates to a target at all sizes, [sizes, seeds], and their fit.

    nan where not every run reached it.
    """

    def __init__(self, runs, name, optimizer, stage):
        self.runs, self.name, self.optimizer = runs, name, optimizer
        self.target = TARGETS[name][stage]
        self.place = f"{name}.{optimizer}.{stage}"
        self.sizes = sizes_for(name)
        self.chosen = [self.best_rate(size) for size in self.sizes]
        self.updates = np.array(
            [
                self.arrivals(size, "test")[index]
                if index is not None
                else np.full(NUM_SEEDS, np.nan)
                for size, index in zip(self.sizes, self.chosen)
            ]
        )
        fits = np.full((3, NUM_SEEDS), np.nan)
        if np.isfinite(self.updates).all():
            fits = [hyperbola(self.sizes, seed) for seed in self.updates.T]
            fits = np.transpose(fits)
        self.least, self.critical, self.fit_error = fits

    def arrivals(self, size, part):
        """Updates to the target, [rates, seeds]; nan: not reached."""
        run = self.runs[self.name, self.optimizer, size]
        reached = run[part] <= self.target
        if reached[0].any():
            raise ValueError(
                f"{self.place}.{size}: the first look was too late"
            )
        first = run["updates"][reached.argmax(axis=0)].astype(float)
        return np.where(reached.any(axis=0), first, np.nan)

    def best_rate(self, size):
        """The index of a size's rate; None where at each a seed fails."""
        mean = np.log(self.arrivals(size, "validation")).mean(axis=1)
        return None if np.isnan(mean).all() else int(np.nanargmin(mean))

    def slope(self, small, large):
        """Of the logarithm of updates on that of the batch size, per seed."""
        ends = [self.sizes.index(small), self.sizes.index(large)]
        fell = np.subtract(*np.log(self.updates[ends]))
        return fell / np.log(small / large)


def keep_targets(found, studies, update_seconds):
    """Updates, epochs and seconds until the targets."""
    on_the_edge = sum(
        index in (None, 0, len(RATE_STEPS) - 1)
        for study in studies.values()
        for index in study.chosen
    )
    found.exact("best_rates_on_the_edge", on_the_edge, "rates")
    found.judge(
        "no_best_rate_is_on_the_edge", found["best_rates_on_the_edge"] == 0
    )
    early = studies["mnist1d", "sgd", "early"]
    num_examples = SPLITS["mnist1d"][0]
    cost = {
        size: update_seconds[size] * np.exp(np.log(updates).mean())
        for size, updates in zip(early.sizes, early.updates)
    }
    for size in sorted({SMALLEST, 1024, LARGEST}):
        updates = early.updates[early.sizes.index(size)]
        place = f"{early.place}.{size}"
        found.ratio(f"updates.{place}", updates, "updates", reason=NOT_REACHED)
        if size not in (SMALLEST, LARGEST):
            continue
        epochs = updates * size / num_examples
        found.ratio(f"epochs.{place}", epochs, "epochs", reason=NOT_REACHED)
        key = f"seconds_against_reference.{place}"
        seconds = cost[size] / cost[REFERENCE_BATCH_SIZE]
        found.ratio(key, seconds, timing=True, reason=NOT_REACHED)
        per_epoch = -(-num_examples // size)
        found.exact(f"updates_per_epoch.{size}", per_epoch, "updates")


def keep_fits(found, studies):
    """The critical batch size, and what moves it."""
    for study in studies.values():
        key = f"critical.{study.place}"
        found.ratio(key, study.critical, "examples", reason=NOT_REACHED)
    for name in SPLITS:
        early, late = (studies[name, "sgd", stage] for stage in TARGETS[name])
        momentum = studies[name, "momentum", "early"]
        key = f"fit_error.{late.place}"
        found.mean(key, late.fit_error, "share", reason=NOT_REACHED)
        for key, ratio, judgement in (
            (
                f"late_against_early.{name}",
                late.critical / early.critical,
                "a_lower_target_has_a_larger_critical_size",
            ),
            (
                f"momentum_against_sgd.{name}",
                momentum.critical / early.critical,
                "momentum_moves_the_critical_size_up",
            ),
        ):
            found.ratio(key, ratio, reason=NOT_REACHED)
            found.judge(f"{judgement}.{name}", found[key] > 1)
        key = f"slope.large.{late.place}"
        slope = late.slope(*late.sizes[-2:])
        found.mean(key, slope, "1", reason=NOT_REACHED)
        found.judge(f"large_sizes_are_on_the_floor.{name}", found[key] > -0.25)
    late = studies["mnist1d", "sgd", "late"]
    key = f"slope.small.{late.place}"
    small = [size for size in BATCH_SIZES if size <= 16]
    slope = late.slope(SMALLEST, small[-1])
    found.mean(key, slope, "1", reason=NOT_REACHED)
    found.judge("small_sizes_scale_perfectly_on_mnist1d", found[key] < -0.75)
    digits, mnist1d = (
        found[f"critical.{name}.sgd.early"] for name in ("digits", "mnist1d")
    )
    found.judge("digits_bend_earlier", digits < mnist1d)


def keep_predictions(found, studies, noise):
    """The noise scale: cheap against exact, and against the critical size."""
    for name in SPLITS:
        loss, exact, two_batch = (
            np.array([noise[name, at][key] for at in NOISE_UPDATES])
            for key in ("loss", "exact", "two_batch")
        )
        key = f"noise_growth.{name}"
        found.ratio(key, exact[-1] / exact[0])
        # Where so few batches settle nothing, the others are compared.
        ratio = np.exp(np.nanmean(np.log(two_batch / exact), axis=0))
        key = f"two_batch_against_exact.{name}"
        found.ratio(key, ratio)
        found.judge(
            f"two_batches_find_the_exact_scale.{name}",
            found[key].between(1 / ESTIMATE_FACTOR, ESTIMATE_FACTOR),
        )
        for stage, target in TARGETS[name].items():
            # The noise scale, averaged over the updates until the seeds' mean
            # loss has arrived.
            arrived = np.flatnonzero(loss.mean(axis=1) <= target)
            upto = arrived[0] + 1 if len(arrived) else len(NOISE_UPDATES)
            updates = NOISE_UPDATES[:upto]
            average = np.trapezoid(exact[:upto], updates, axis=0) / updates[-1]
            for optimizer, key in (
                ("sgd", f"prediction.{name}.{stage}"),
                ("momentum", f"prediction_momentum.{name}"),
            ):
                if stage in STAGES[optimizer]:
                    critical = studies[name, optimizer, stage].critical
                    found.ratio(key, average / critical, reason=NOT_REACHED)
        found.judge(
            f"noise_scale_is_too_large_early.{name}",
            found[f"prediction.{name}.early"] > 1,
        )
        found.judge(
            f"noise_scale_predicts_momentum.{name}",
            found[f"prediction_momentum.{name}"].between(
                1 / PREDICTION_FACTOR, PREDICTION_FACTOR
            ),
        )
    found.judge("noise_scale_grows_on_digits", found["noise_growth.digits"] > 1)
    found.judge(
        "noise_scale_fails_early.digits",
        found["prediction.digits.early"] > PREDICTION_FACTOR,
    )


def keep_line(found, name, x, samples, unit):
    """Geometric means for a figure; nothing where a sample is not finite."""

    def interval(each):
        if np.isfinite(each).all():
            return mean_interval(each, ratio=True)
        return None, None, None

    middle, low, high = zip(*map(interval, samples))
    found.points(name, x, middle, unit, low, high)


def keep_lines(found, studies, update_seconds, noise):
    """What the figures draw."""
    for (name, optimizer, stage), study in studies.items():
        sizes, updates = study.sizes, study.updates
        keep_line(found, f"update.{study.place}", sizes, updates, "updates")
        if stage == "early":
            each = np.array(sizes)[:, None] / SPLITS[name][0]
            epochs = updates * each
            keep_line(found, f"epoch.{study.place}", sizes, epochs, "epochs")
            each = np.array([[update_seconds[size].mean()] for size in sizes])
            seconds = updates * each
            keep_line(found, f"second.{study.place}", sizes, seconds, "seconds")
        if optimizer == "sgd" and np.isfinite(study.critical).all():
            least, critical = (
                np.exp(np.log(fitted).mean())
                for fitted in (study.least, study.critical)
            )
            fitted = least * (1 + critical / np.array(sizes))
            found.points(f"fit.{study.place}", sizes, fitted, "updates")
    for name in SPLITS:
        for way in ("exact", "two_batch"):
            scales = [noise[name, at][way] for at in NOISE_UPDATES]
            key = f"noise_scale.{way}.{name}"
            keep_line(found, key, NOISE_UPDATES, scales, "examples")


def plot_updates(studies):
    """Updates to the early target against the batch size."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, name in zip(axes, SPLITS):
        for optimizer in OPTIMIZERS:
            study = studies[name, optimizer, "early"]
            middle = np.exp(np.log(study.updates).mean(axis=1))
            axis.loglog(study.sizes, middle, "o-", base=2, label=optimizer)
        axis.set(title=name, xlabel="Batch size", ylabel="Updates to target")
    axes[0].legend()
    plt.show()


def critical_batch_size_findings(update_seconds, runs, noise):
    """Values, judgements and series, and the updates as a figure.

    update_seconds: {batch size: seconds of an update, of each repeat}.
    runs: {(data, optimizer, batch size): {"updates": [looks], "validation"
        and "test": loss [looks, rates, seeds]}}.
    noise: {(data, updates): {"loss": of the validation data, "exact" and
        "two_batch": noise scales in examples}}, each [seeds].
    """
    found = keep_findings()
    studies = {
        (name, optimizer, stage): Study(runs, name, optimizer, stage)
        for name in SPLITS
        for optimizer, stages in STAGES.items()
        for stage in stages
    }
    keep_targets(found, studies, update_seconds)
    keep_fits(found, studies)
    keep_predictions(found, studies, noise)
    keep_lines(found, studies, update_seconds, noise)
    plot_updates(studies)
    return found.report()
