# %% [markdown]
# ## What is read from the measurements
#
# One number for each network, then mean and interval over the networks. A
# judgement holds when the whole interval is on its side, at every stage that
# it speaks of. Margins were set before the first run.

# %%
import matplotlib.pyplot as plt
import numpy as np

from gradient_noise_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

# "As predicted" is a slope of log noise on log batch size this close to -1.
MARGIN_SLOPE = 0.05
# "Like a coin" is a share this close to one half, in percentage points.
COIN_POINTS = 10
# "Equal to rounding" is a relative difference below this.
ROUNDING = 0.00001
# Of which sizes the text tells the direction, and when.
TOLD = {1: ["start", "early", "late"], 32: list(STAGES), 1024: ["late"]}
SMALL, LARGE = BATCH_SIZES.index(32), BATCH_SIZES.index(1024)


def slopes(noise):
    """Slope of log noise on log batch size, [networks]."""
    return np.polyfit(np.log(BATCH_SIZES), np.log(noise).T, 1)[0]


def wrong_way_interval(percent):
    """Mean, low, high of a share that may be nil in all batches of a run.

    No share is below 0, and that of an event not yet seen in n tries may be
    as large as 3 / n.
    """
    mean, low, high = mean_interval(percent)
    return mean, max(low, 0), max(high, 300 / (NUM_BATCHES * NUM_SEEDS))


def keep_stage(found, name, stage, shown):
    """The law, the directions and the full gradient, at one stage."""
    place = f"{name}.{stage}"
    sizes = np.array(BATCH_SIZES)
    left_to_draw = (NUM_TRAIN - sizes) / (NUM_TRAIN - 1)
    without = shown["noise.without"]
    for key, noise in (
        (f"slope.{place}.with", shown["noise.with"]),
        (f"slope.{place}.without", without),
        (f"corrected_slope.{place}", without / left_to_draw),
    ):
        found.mean(key, slopes(noise), "slope")
    wrong_way = [wrong_way_interval(row) for row in shown["wrong_way"].T]
    for size, stages in TOLD.items():
        if stage in stages:
            interval = wrong_way[BATCH_SIZES.index(size)]
            key = f"wrong_way.{place}.{size}"
            found.interval(key, interval, NUM_SEEDS, "%")
    mean, low, high = zip(*wrong_way)
    found.points(f"wrong_way.{place}", sizes, mean, "%", low, high)
    found.curve(f"cosine.{place}", sizes, shown["cosine"].T, "cosine")
    found.ratio(f"noise_scale.{place}", shown["noise_scale"], "examples")
    found.mean(f"fresh_cosine.{place}", shown["fresh_cosine"], "cosine")
    error = shown["order_error"]
    found.mean(f"order_error.{place}", error, "relative difference")


def keep_epochs(found, name, measured):
    """What the batches of an epoch, and many of them, add up to."""
    shown = measured[name, EPOCH_STAGE]
    error = shown["epoch_error"]
    found.mean(f"epoch_error.{name}", error, "relative difference")
    biases = [measured[name, stage]["bias_ratio"] for stage in STAGES]
    found.mean(f"bias_ratio.{name}", np.mean(biases, axis=0), "ratio")
    if name == "mnist1d":
        unweighted = 100 * shown["unweighted_error"]
        found.mean(f"unweighted_error.{name}", unweighted, "%")


def keep_examples(found, measured):
    """What the text and the figures show of one data set alone."""
    for stage in STAGES:
        shown = measured["mnist1d", stage]
        for draw in ("with", "without"):
            rows = shown[f"noise.{draw}"].T
            mean, low, high = zip(
                *(mean_interval(row, ratio=True) for row in rows)
            )
            series = f"noise.mnist1d.{stage}.{draw}"
            found.points(series, BATCH_SIZES, mean, "ratio", low, high)
    for stage in ("start", "late"):
        shown, place = measured["mnist1d", stage], f"mnist1d.{stage}"
        noise, cosine = shown["noise.with"].T, shown["cosine"].T
        found.ratio(f"noise.{place}.with.1024", noise[LARGE])
        # Between the two sizes that articles like to compare.
        found.ratio(f"noise_drop.{place}", noise[SMALL] / noise[LARGE])
        found.mean(f"cosine.{place}.32", cosine[SMALL], "cosine")
        found.mean(f"cosine.{place}.1024", cosine[LARGE], "cosine")
    for stage in ("middle", "late"):
        loss = measured["digits", stage]["train_loss"]
        found.mean(f"train_loss.digits.{stage}", loss, "nats")


def judge(found, name):
    """What holds on one data set, at the stages that it speaks of."""

    def at(key, *stages):
        """The findings at these stages, or at all; `*` is the place."""
        return [
            found[key.replace("*", f"{name}.{stage}")]
            for stage in stages or STAGES
        ]

    slope = -1 - MARGIN_SLOPE, -1 + MARGIN_SLOPE
    one, many = "wrong_way.*.1", "wrong_way.*.32"
    start, middle = at("noise_scale.*", "start", "middle")
    fresh_at_start, fresh_late = at("fresh_cosine.*", "start", "late")
    early, late = at(many, "early", "late")
    for key, truths in {
        "noise_falls_as_one_over_batch": [
            each.between(*slope) for each in at("slope.*.with")
        ],
        "noise_falls_faster_without_replacement": [
            each < slope[0] for each in at("slope.*.without")
        ],
        "correction_explains_it": [
            each.between(*slope) for each in at("corrected_slope.*")
        ],
        "epoch_adds_up_to_the_full_gradient": [
            found[f"epoch_error.{name}"] < ROUNDING
        ],
        "order_changes_only_rounding": [
            each < ROUNDING for each in at("order_error.*")
        ],
        "one_example_is_mostly_right_early": [
            each < 50 for each in at(one, "start", "early")
        ],
        "one_example_is_a_coin_late": [
            each.between(50 - COIN_POINTS, 50 + COIN_POINTS)
            for each in at(one, "late")
        ],
        "thirty_two_are_mostly_right": [each < 50 for each in at(many)],
        "wrong_more_often_late": [late > early],
        "noise_scale_grows": [middle > start],
        "fresh_data_disagree_late": [fresh_late < fresh_at_start],
    }.items():
        found.judge(f"{key}.{name}", *truths)


def plot_wrong_way(measured):
    """One line for each stage. The thin line is a tossed coin."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, name in zip(axes, LAYERS):
        for stage in STAGES:
            percent = measured[name, stage]["wrong_way"].mean(axis=0)
            axis.plot(BATCH_SIZES, percent, marker="o", label=stage)
        axis.axhline(50, linewidth=0.7)
        axis.set_xscale("log", base=2)
        axis.set(title=name, xlabel="batch size", ylabel="% the wrong way")
    axes[0].legend()
    plt.show()


def gradient_noise_findings(measured):
    """Values, judgements and series, and a figure of the directions.

    measured: {(data, stage): {quantity: [networks] or [networks, batch
        sizes]}}; `wrong_way` in percent of the batches.
    """
    found = keep_findings()
    for name in LAYERS:
        for stage in STAGES:
            keep_stage(found, name, stage, measured[name, stage])
        keep_epochs(found, name, measured)
        judge(found, name)
    keep_examples(found, measured)
    plot_wrong_way(measured)
    return found.report()
