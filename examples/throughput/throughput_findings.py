# %% [markdown]
# ## What is read from the times
#
# Ratios of times pair the repeats. Their median is reported, which a few
# disturbed repeats do not move. Margins were set before the run.

# %%
import numpy as np

from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval
from throughput_problem import *

# "Clearly" more is more than this factor, "far" more than the second.
MARGIN_FACTOR = 1.5
FAR_FACTOR = 10.0
# The limit of an update is what takes more than this share of it, in percent.
MOST_PERCENT = 50
# Numbers that an update with Adam reads or writes for each weight: the
# weight forward and backward, the gradient; then Adam reads four, writes
# three.
WEIGHT_PASSES = 10
REFERENCE_BATCH_SIZE = 64
# Devices that share each batch evenly; their exchange is taken to be free.
DEVICES = [1, 4, 16]
NOT_REACHED = "not every seed reached the target"
NO_SLOPE = "the time of an update does not grow with the batch"


def keep_ratio(found, key, over, under, unit="ratio", factor=1):
    """Keep the median of ratios, pair by pair."""
    count = min(len(over), len(under))
    ratios = factor * np.array(over[:count]) / under[:count]
    found.median(key, ratios, unit, timing=True)


def keep_knee(found, key, ends, unit):
    """Keep (value, low, high) of the line, if it has a slope."""
    if np.isfinite(ends).all():
        found.interval(key, ends, NUM_REPEATS, unit, timing=True)
    else:
        found.exact(key, None, unit, timing=True, reason=NO_SLOPE)


def count_operations(name, width):
    """Floating-point operations of training on one example.

    Of the matrix products and convolutions: a multiplication and an addition
    each. Backward costs two products for each one forward, but the first
    layer's inputs need no gradient.
    """
    if name.endswith("mlp"):
        first = NUM_FEATURES * width
        others = width * width + width * NUM_CLASSES
    elif name.endswith("cnn"):
        first = IMAGE_SIZE**2 * 9 * width
        others = (IMAGE_SIZE // 2) ** 2 * 9 * width * 2 * width
        others += (IMAGE_SIZE // 4) ** 2 * 2 * width * NUM_CLASSES
    else:
        first = 0
        block = 12 * width**2 + 2 * TEXT_LENGTH * width
        others = TEXT_LENGTH * (NUM_BLOCKS * block + width * VOCABULARY)
    return 2 * (2 * first + 3 * others)


def keep_sizes(found, name, seconds):
    """What more examples in an update bring, and what they cost."""
    sizes = list(seconds)
    for size in sizes:
        key = f"gain.{name}.{size}"
        keep_ratio(found, key, seconds[1], seconds[size], factor=size)
        if name == "mlp":
            key = f"update_time.{name}.{size}"
            keep_ratio(found, key, seconds[size], seconds[1])
    found.judge(
        f"larger_is_faster.{name}", found[f"gain.{name}.16"] > MARGIN_FACTOR
    )
    before, largest = sizes[-2:]
    if name == "mlp":
        found.judge(
            f"largest_update_is_slower.{name}",
            found[f"update_time.{name}.{largest}"] > MARGIN_FACTOR,
        )
    keep_ratio(
        found,
        f"last_gain.{name}",
        seconds[before],
        seconds[largest],
        factor=largest / before,
    )


def keep_line(found, name, measured):
    """The line through the times: its knee, and how well it fits."""
    ends = np.array([measured["knee"], measured["low"], measured["high"]])
    keep_knee(found, f"knee.{name}", ends, "examples")
    # The fixed part of the time of a single example.
    key = f"fixed_share.{name}"
    keep_knee(found, key, 100 * ends / (ends + 1), "percent")
    found.judge(f"one_is_mostly_fixed_cost.{name}", found[key] > MOST_PERCENT)
    misfit = 100 * measured["misfit"]
    found.exact(f"misfit.{name}", misfit, "percent", timing=True)
    if name == "mlp":
        seconds = measured["seconds"]
        line = np.array(list(seconds)) * measured["seconds_per_example"]
        line = (line + measured["fixed_seconds"]) / np.median(seconds[1])
        found.points(f"line.{name}", seconds, line, "ratio")


def keep_limits(found, name, measured, machine, weights, limits):
    """How far the network is from what the machine can do."""
    seconds, rates = measured["seconds"], measured["examples_per_second"]
    widths, _ = settings_for(machine)
    operations = count_operations(name, widths[name])
    product = 2 * MATRIX_SIZE[machine] ** 3
    # Of all the time that so many operations take, the share at full speed.
    least = np.array(limits["product"]) * operations / product
    if not name.endswith("cnn"):
        key = f"matrix_share.{name}"
        for size, taken in seconds.items():
            factor = 100 * size
            keep_ratio(found, f"{key}.{size}", least, taken, "percent", factor)
    best = max(rates, key=rates.get)
    key = f"best_share.{name}"
    keep_ratio(found, key, least, seconds[best], "percent", 100 * best)
    found.exact(f"weights.{name}", weights, "weights")
    if name == "mlp":
        found.exact(f"operations.{name}", operations, "operations")
    # A copy reads and writes each number.
    moved = WEIGHT_PASSES * weights / (2 * COPIED_NUMBERS[machine])
    moving = moved * np.array(limits["copy"])
    key = f"weights_share.{name}"
    keep_ratio(found, key, moving, seconds[1], "percent", 100)
    found.judge(f"weights_are_not_the_limit.{name}", found[key] < MOST_PERCENT)


def keep_first_updates(found, seconds):
    """seconds: [networks, 4], see time_first_updates."""
    first, later, second, third = seconds.T
    for name, taken in (
        ("first_update", first),
        ("second_size", second),
        ("third_size", third),
    ):
        keep_ratio(found, name, taken, later)
        found.judge(f"{name}_is_far_longer", found[name] > FAR_FACTOR)
    share = FIRST_BATCH_SIZE / SPLIT[0]
    keep_ratio(found, "first_update_in_epochs", first, later, "epochs", share)


def choose_rate(found, size, accuracy):
    """Updates to the target on test data, at the rate that was chosen."""
    updates = first_reached(accuracy["validation"]).max(axis=1)
    chosen, key = updates.argmin(), f"rate.{size}"
    found.exact(key, RATES[size][chosen], "rate")
    updates = first_reached(accuracy["test"])[chosen]
    updates = np.where(np.isfinite(updates), updates, np.nan)
    found.mean(
        f"updates_to_target.{size}", updates, "updates", reason=NOT_REACHED
    )
    epochs = updates * size / SPLIT[0]
    key = f"epochs_to_target.{size}"
    found.mean(key, epochs, "epochs", reason=NOT_REACHED)
    return updates


class Targets:
    """Seconds to the target, as ratios between sizes.

    seconds: {batch size: seconds of an update, one for each repeat}.
    """

    def __init__(self, found, seconds, runs):
        self.found, self.seconds = found, seconds
        self.updates = {
            size: choose_rate(found, size, accuracy)
            for size, accuracy in runs.items()
        }

    def mean(self, size, devices=1):
        """Seconds, if so many devices share each batch."""
        update = np.median(self.seconds[size // devices])
        return self.updates[size].mean() * update

    def keep(self, key, size, other, devices=1, price=1):
        """Keep how much longer the target takes than with another size.

        Several devices share the first size; price multiplies the ratio.
        Updates vary with the seed and seconds with the machine: their
        intervals are multiplied end by end, which is wider than it need be.
        """
        updates = self.updates[size] / self.updates[other]
        if np.isnan(updates).any():
            reason = NOT_REACHED
            self.found.exact(key, None, "ratio", timing=True, reason=reason)
            return
        seconds = self.seconds[size // devices] / self.seconds[other]
        ratio = keep_findings()
        ratio.median("of seconds", seconds, "ratio")
        ratio = ratio["of seconds"]
        product = price * np.array([ratio.value, ratio.low, ratio.high])
        product *= mean_interval(updates, ratio=True)
        count = min(len(updates), len(seconds))
        self.found.interval(key, product, count, "ratio", timing=True)


def keep_targets(found, seconds, runs):
    """Epochs, updates and seconds to the target."""
    targets = Targets(found, seconds, runs)
    found.judge(
        "rates_lie_inside_their_grids",
        *(
            found[f"rate.{size}"].between(RATES[size][0], RATES[size][-1])
            for size in runs
        ),
    )
    smallest, *_, largest = runs
    for size in runs:
        key = f"seconds_to_target.{size}"
        targets.keep(key, size, REFERENCE_BATCH_SIZE)
    epoch = {
        size: -(-SPLIT[0] // size) * seconds[size]
        for size in (smallest, largest)
    }
    key = f"epoch_time.{largest}"
    keep_ratio(found, key, epoch[largest], epoch[smallest])
    found.judge(
        "epoch_is_faster_at_the_largest", found[key] < 1 / MARGIN_FACTOR
    )

    quickest = min(runs, key=targets.mean)
    fastest = min(runs, key=lambda size: np.median(seconds[size]) / size)
    for name, size in (
        ("fastest", fastest),
        ("smallest", smallest),
        ("largest", largest),
    ):
        targets.keep(f"{name}_over_quickest", size, quickest)
    found.judge("fastest_per_example_loses", found["fastest_over_quickest"] > 1)
    for name in ("largest", "smallest"):
        slower = found[f"{name}_over_quickest"]
        found.judge(f"{name}_loses", slower > MARGIN_FACTOR)

    # The least seconds that so many devices can do it in, and what they cost.
    for devices in DEVICES:
        best = min(runs, key=lambda size: targets.mean(size, devices))
        targets.keep(f"time_shared.{devices}", best, quickest, devices)
        targets.keep(f"cost_shared.{devices}", best, quickest, devices, devices)
    found.exact(f"best_shared.{devices}", best, "examples", timing=True)
    time, cost = (
        found[f"{kind}_shared.{devices}"] for kind in ("time", "cost")
    )
    found.judge("sharing_is_faster", time < 1 / MARGIN_FACTOR)
    found.judge("sharing_costs_more", cost > MARGIN_FACTOR)


def throughput_findings(
    machine, num_weights, throughput, limit_seconds, first_seconds, runs
):
    """Values, judgements and series.

    machine: "cpu" or "gpu".
    num_weights: {network: number}.
    throughput: {network: what measure_throughput measured}.
    limit_seconds: {"product" and "copy": seconds of each repeat}.
    first_seconds: [networks, 4], see time_first_updates.
    runs: {batch size: accuracy}, see train_to_target.
    """
    found = keep_findings()
    rate = MATRIX_SIZE[machine] ** 3 / np.array(limit_seconds["product"])
    copied = 4 * COPIED_NUMBERS[machine] / np.array(limit_seconds["copy"])
    keep_ratio(found, "balance", rate, copied, "operations per byte")
    for name, measured in throughput.items():
        keep_sizes(found, name, measured["seconds"])
        keep_line(found, name, measured)
        weights = num_weights[name]
        keep_limits(found, name, measured, machine, weights, limit_seconds)
    keep_first_updates(found, first_seconds)
    keep_targets(found, throughput["mlp"]["seconds"], runs)
    return found.report()
