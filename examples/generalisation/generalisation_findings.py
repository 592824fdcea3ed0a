# %% [markdown]
# ## What is read from the runs
#
# Rates are chosen by the mean validation accuracy of all replicates, and
# accuracy is reported on the test data. A difference pairs the runs that
# share data and initial weights. A judgement holds when the whole interval is
# on its side.

# %%
import matplotlib.pyplot as plt
from scipy import stats

from generalisation_problem import *
from snippets.keep_findings import keep_findings

# "Level" is less than this, in percentage points. Set beforehand, from how
# much the replicates of a trial with other seeds varied.
MARGIN_POINTS = 2.0
# The one rate for all sizes: about the best of REFERENCE_BATCH_SIZE.
ONE_RATE_EXPONENT = -6
NOT_MEASURED = "not every run reached the training loss"
POINTS = "percentage points"
SMALLEST, LARGEST = BATCH_SIZES[0], BATCH_SIZES[-1]
OTHERS = [size for size in BATCH_SIZES if size != REFERENCE_BATCH_SIZE]
# What is held equal: epochs at one rate, each budget at tuned rates, or the
# best length of training within the longest budget.
REGIMES = ["one_rate", "epochs", "updates", "time", "early"]


class Runs:
    """What the runs of a regime and a batch size say, by seed."""

    def __init__(self, runs):
        self.runs = runs

    def best_look(self, size):
        """[rates]: the look of best mean validation accuracy, for each rate.

        Of all replicates together, so that it is the length of training that
        is chosen, and not each run's luckiest moment, which favours noisy
        runs.
        """
        seen = self.runs[size]["validation", "accuracy"]
        return seen.mean(axis=2).argmax(axis=0)

    def all_rates(self, regime, size, part, what="accuracy", amount=None):
        """[rates, seeds] when the budget of the regime is spent."""
        run = self.runs[size]
        if regime == "early":
            looks = self.best_look(size)[None, :, None]
            return np.take_along_axis(run[part, what], looks, axis=0)[0]
        budget = "epochs" if regime == "one_rate" else regime
        updates = run["budgets"][budget, amount or AMOUNTS[budget][-1]]
        return run[part, what][np.searchsorted(run["looks"], updates)]

    def chosen(self, regime, size, amount=None):
        """Index of the rate that the regime prescribes."""
        if regime == "one_rate":
            return RATE_EXPONENTS[size].index(ONE_RATE_EXPONENT)
        seen = self.all_rates(regime, size, "validation", amount=amount)
        return int(seen.mean(axis=1).argmax())

    def tuned(self, regime, size, part="test", what="accuracy", amount=None):
        """[seeds] at the rate that the regime prescribes."""
        found = self.all_rates(regime, size, part, what, amount)
        return found[self.chosen(regime, size, amount)]

    def percent(self, regime, size, part="test", amount=None):
        return 100 * self.tuned(regime, size, part, amount=amount)


def keep_budgets(found, runs):
    """Accuracies and losses under each regime, and gaps between sizes."""
    on_the_edge = 0
    for regime in REGIMES:
        level = runs.percent(regime, REFERENCE_BATCH_SIZE)
        for size in OTHERS:
            gap, timed = runs.percent(regime, size) - level, regime == "time"
            found.mean(f"gap.{regime}.{size}", gap, POINTS, timing=timed)
        for size in BATCH_SIZES if regime != "one_rate" else []:
            last_rate = len(RATE_EXPONENTS[size]) - 1
            on_the_edge += runs.chosen(regime, size) in (0, last_rate)
    found.exact("best_rates_on_the_edge", on_the_edge, "rates")
    for budget, amounts in AMOUNTS.items():
        for number, amount in enumerate(amounts):
            name = f"accuracy_by_size.{budget}.{number}"
            accuracy = [
                runs.percent(budget, size, amount=amount)
                for size in BATCH_SIZES
            ]
            found.curve(name, BATCH_SIZES, accuracy, "percent")
    for size in (4, REFERENCE_BATCH_SIZE, 256):
        for part, name in {
            "test": "accuracy",
            "train": "train_accuracy",
        }.items():
            accuracy = runs.percent("early", size, part)
            found.mean(f"{name}.early.{size}", accuracy, "percent")
    accuracy = runs.percent("one_rate", LARGEST, "train")
    found.mean(f"train_accuracy.one_rate.{LARGEST}", accuracy, "percent")
    for regime in ("epochs", "updates"):
        for size in (REFERENCE_BATCH_SIZE, LARGEST):
            loss = runs.tuned(regime, size, "train", "loss")
            found.mean(f"train_loss.{regime}.{size}", loss, "loss")
    for size in (SMALLEST, LARGEST):
        # Runs whose own best look is the last one might have gone on.
        seen = runs.runs[size]["validation", "accuracy"]
        seen = seen[:, runs.chosen("early", size)]
        at_the_cap = 100.0 * (seen.argmax(axis=0) == len(seen) - 1)
        found.mean(f"best_at_the_cap.{size}", at_the_cap, "percent")

    for regime in ("one_rate", "updates", "time"):
        gap = found[f"gap.{regime}.{SMALLEST}"]
        found.judge(f"smallest_is_behind.{regime}", gap < 0)
    for regime in ("one_rate", "epochs"):
        gap = found[f"gap.{regime}.{LARGEST}"]
        found.judge(f"largest_is_behind.{regime}", gap < 0)
    for regime in ("updates", "time"):
        gap = found[f"gap.{regime}.{LARGEST}"]
        found.judge(f"largest_is_ahead.{regime}", gap > 0)
    found.judge(
        "no_best_rate_on_the_edge", found["best_rates_on_the_edge"] == 0
    )
    found.judge(
        "largest_reaches_a_lower_loss_in_the_same_updates",
        found[f"train_loss.updates.{LARGEST}"]
        < found[f"train_loss.updates.{REFERENCE_BATCH_SIZE}"],
    )


class Level:
    """Networks at one training loss: a row for each size and rate."""

    def __init__(self, level):
        self.level = level
        self.cells = [
            (size, exponent)
            for size, exponents in SHARPNESS_EXPONENTS.items()
            for exponent in exponents
        ]
        self.losses = np.concatenate([each["loss"] for each in level.values()])
        self.accuracy = 100 * self.of_cells("accuracy")
        sharpness = self.of_cells("sharpness")
        self.sharpness = np.where(sharpness > 0, sharpness, np.nan)

    def of_cells(self, what):
        """[cells, seeds]; nan where the training loss was not reached."""
        found = np.concatenate([each[what] for each in self.level.values()])
        return np.where(self.losses <= LEVEL, found, np.nan)

    def mean_of_rates(self, what, size):
        """[seeds]: the mean over the rates at which a size was trained."""
        return what[[each == size for each, _ in self.cells]].mean(axis=0)


def keep_level(found, level):
    """Accuracy and sharpness at one training loss."""
    found.exact("level_networks", level.losses.size, "networks")
    missed = int((level.losses > LEVEL).sum())
    found.exact("level_missed", missed, "networks")
    found.mean("level_loss.mean", level.losses.mean(axis=0), "loss")
    found.judge("every_network_reaches_the_level", found["level_missed"] == 0)

    accuracy = {
        size: level.mean_of_rates(level.accuracy, size) for size in BATCH_SIZES
    }
    gaps = {
        f"{size}": accuracy[size] - accuracy[REFERENCE_BATCH_SIZE]
        for size in OTHERS
    } | {"largest_less_smallest": accuracy[LARGEST] - accuracy[SMALLEST]}
    for name, gap in gaps.items():
        found.mean(f"level_gap.{name}", gap, POINTS, reason=NOT_MEASURED)
    log_sharpness = np.log2(level.sharpness)
    largest, smallest = (
        level.mean_of_rates(log_sharpness, size) for size in (LARGEST, SMALLEST)
    )
    found.ratio(
        "sharpness_ratio", 2 ** (largest - smallest), reason=NOT_MEASURED
    )

    # The logarithm of sharpness by least squares, for each replicate.
    log_batch = np.log2([size for size, _ in level.cells])
    log_rate = np.array([exponent for _, exponent in level.cells], dtype=float)
    matrix = np.stack([log_rate, log_batch, np.ones(len(level.cells))], axis=1)
    slopes = np.linalg.pinv(matrix) @ log_sharpness
    for name, slope in zip(("rate", "batch"), slopes):
        key = f"sharpness_slope.{name}"
        found.mean(key, slope, "exponent", reason=NOT_MEASURED)
    ratio = np.tile(log_rate - log_batch, (SHARPNESS_SEEDS, 1)).T
    for name, other in {"ratio": ratio, "accuracy": level.accuracy}.items():
        ranks = [
            stats.spearmanr(*pair).statistic
            for pair in zip(level.sharpness.T, other.T)
        ]
        key = f"rank.sharpness_and_{name}"
        found.mean(key, ranks, "rank correlation", reason=NOT_MEASURED)

    # Named after one over the rate, as a key has no sign.
    names = [f"{size}.{2**-exponent}" for size, exponent in level.cells]
    for name, sharpness, accuracy in zip(
        names, level.sharpness, level.accuracy
    ):
        key = f"sharpness.{name}"
        found.ratio(key, sharpness, "sharpness", reason=NOT_MEASURED)
        key = f"level_accuracy.{name}"
        found.mean(key, accuracy, "percent", reason=NOT_MEASURED)


def judge_level(found):
    gap = found[f"level_gap.{SMALLEST}"]
    found.judge("smallest_is_level_at_equal_loss", gap.within(MARGIN_POINTS))
    less = found["level_gap.largest_less_smallest"]
    found.judge("largest_is_behind_at_equal_loss", less < 0)
    ratio = found["sharpness_ratio"]
    found.judge("largest_is_sharper_at_equal_loss", ratio > 1)
    slope = found["sharpness_slope.rate"]
    found.judge("sharpness_falls_with_the_rate", slope < 0)
    slope = found["sharpness_slope.batch"]
    found.judge("sharpness_rises_with_the_batch", slope > 0)
    ranks = found["rank.sharpness_and_accuracy"]
    found.judge("sharper_scores_lower", ranks < 0)


def keep_others(found, others, of_one):
    """Sharpness of the same function, and of the function for one model."""
    found.ratio("rescaling.sharpness_factor", others["factor"])
    found.mean("rescaling.largest_change", others["largest_change"], "logits")
    found.mean("two_starts", others["two_starts"], "ratio")
    found.ratio("one_by_many", of_one / others["untrained"])
    found.judge(
        "rescaled_network_is_ten_times_sharper",
        found["rescaling.sharpness_factor"] > 10,
    )
    found.judge(
        "rescaled_network_predicts_the_same",
        found["rescaling.largest_change"] < 1e-3,
    )
    found.judge(
        "one_model_agrees_with_many", found["one_by_many"].between(0.95, 1.05)
    )


def plot_accuracy(found):
    """Test accuracy against batch size, for the longest of each budget."""
    figure, axis = plt.subplots(layout="constrained")
    for budget, amounts in AMOUNTS.items():
        line = found.series[f"accuracy_by_size.{budget}.{len(amounts) - 1}"]
        axis.plot(line["x"], line["y"], marker="o", label=budget)
    axis.set_xscale("log", base=2)
    axis.set(xlabel="batch size", ylabel="test accuracy in percent")
    axis.legend()
    plt.show()


def generalisation_findings(update_seconds, runs, level, others, of_one):
    """Values, judgements and series, and a picture of the accuracies.

    update_seconds: {batch size: [repeats]}.
    runs: {batch size: {"looks", "budgets", (part, what): [looks, rates,
        seeds]}}; parts are train, validation and test, what is loss or
        accuracy.
    level: {batch size: {"loss", "accuracy", "sharpness": [rates, seeds]}}, of
        networks at one training loss.
    others: {"factor", "two_starts", "largest_change": [seeds]} of rescaling,
        and "untrained", sharpness of untrained networks, [seeds].
    of_one: the same by the function for one model, [seeds].
    """
    found = keep_findings()
    num_epochs = AMOUNTS["epochs"][-1]
    per_epoch = runs[32]["budgets"]["epochs", num_epochs] // num_epochs
    found.exact("updates_per_epoch.32", per_epoch, "updates")
    slower = update_seconds[LARGEST] / update_seconds[REFERENCE_BATCH_SIZE]
    found.ratio(f"update_time.{LARGEST}", slower, timing=True)
    keep_budgets(found, Runs(runs))
    keep_level(found, Level(level))
    judge_level(found)
    keep_others(found, others, of_one)
    plot_accuracy(found)
    return found.report()
