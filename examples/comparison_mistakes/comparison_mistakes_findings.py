# %% [markdown]
# ## Mistakes that take no framework
#
# The first of each pair of functions makes the mistake, the second does not.
# To call the square root the linear rule is a calculation.

# %%
import numpy as np

from comparison_mistakes_problem import *
from snippets.find_largest_batch import find_largest_batch
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval


# --8<-- [start:root_called_linear]
def root_called_linear(learning_rate, old_size, new_size):
    """The 'linear scaling rule' as a popular lesson has it."""
    return learning_rate * math.sqrt(new_size / old_size)


# --8<-- [end:root_called_linear]
# --8<-- [start:scale_by_rule]
def scale_by_rule(learning_rate, old_size, new_size, optimizer):
    """A first guess: the linear rule, or the square root for Adam.

    optimizer: a name in small letters, such as "sgd" or "adamw".
    """
    factor = new_size / old_size
    return learning_rate * (
        math.sqrt(factor) if "adam" in optimizer else factor
    )


# --8<-- [end:scale_by_rule]
# %% [markdown]
# The largest size is chosen because it has the fewest updates in an epoch, or
# because it fits; a batch above the limit is refused, as by a device.


# %%
# --8<-- [start:largest_is_quickest]
def largest_is_quickest(sizes):
    """It has the fewest updates in an epoch, so it must be."""
    return max(sizes)


# --8<-- [end:largest_is_quickest]
# --8<-- [start:fill_the_memory]
def try_batch(batch_size):
    if batch_size > LIMIT:
        raise MemoryError(f"{batch_size} examples do not fit")


def fill_the_memory():
    return find_largest_batch(try_batch, largest=NUM_TRAIN)


# --8<-- [end:fill_the_memory]
# --8<-- [start:stop_where_it_wastes]
def stop_where_it_wastes(epochs_to_target):
    """The largest size that needs few more examples to the target."""
    least = min(epochs_to_target.values())
    return max(
        size
        for size, epochs in epochs_to_target.items()
        if epochs <= MOST_EXAMPLES * least
    )


# --8<-- [end:stop_where_it_wastes]
# --8<-- [start:force_power_of_two]
def force_power_of_two(limit):
    return 2 ** int(math.log2(limit))


# --8<-- [end:force_power_of_two]
# --8<-- [start:keep_the_limit]
def keep_the_limit(limit, multiple_of=8):
    return limit // multiple_of * multiple_of


# --8<-- [end:keep_the_limit]
# %% [markdown]
# One seed names the winner, and the best of a noisy curve is the result.


# %%
# --8<-- [start:trust_one_seed]
def trust_one_seed(accuracy, other):
    """Which is better: 'first' or 'second'? One run of each settles it."""
    return "first" if accuracy[0] > other[0] else "second"


# --8<-- [end:trust_one_seed]
# --8<-- [start:compare_over_seeds]
def compare_over_seeds(accuracy, other):
    """(difference, low, high): settled where the interval leaves out 0."""
    return mean_interval(np.asarray(accuracy) - np.asarray(other))


# --8<-- [end:compare_over_seeds]
# --8<-- [start:report_the_best]
def report_the_best(validation_accuracy):
    return max(validation_accuracy)


# --8<-- [end:report_the_best]
# --8<-- [start:report_the_test]
def report_the_test(validation_accuracy, test_accuracy):
    """Choose the epoch on validation data; report it on test data."""
    return test_accuracy[np.argmax(validation_accuracy)]


# --8<-- [end:report_the_test]
# %% [markdown]
# ## What is read from the runs
#
# Differences are paired by seed, that is by data set. A judgement holds when
# the whole interval is on its side; margins were set beforehand.

# %%
# "No difference" is less than this, in percentage points.
MARGIN_POINTS = 2.0
# Test accuracy is called chance within so many points of one half.
CHANCE_POINTS = 1.5
POINTS = "percentage points"


def percent(run, part="test", look=-1, rate=0):
    return 100 * run[part]["accuracy"][look, rate].astype(float)


def loss_of_run(run, look=-1, rate=0):
    return run["train"]["loss"][look, rate].astype(float)


def keep_rates(found, runs):
    """The large size against the small one, and what rules give."""
    small, large = runs["small"], runs["large"]
    for name, run, rate in (
        ("one_rate", large, 0),
        ("root", large, 1),
        ("linear", large, 2),
        ("equal_updates", runs["longer"], 0),
    ):
        behind = percent(small)[:NUM_SEEDS] - percent(run, rate=rate)
        found.mean(f"points_behind.{name}", behind, POINTS)
    for name, rate in (("one_rate", 0), ("linear", 2)):
        ratio = loss_of_run(large, rate=rate) / loss_of_run(small)[:NUM_SEEDS]
        found.ratio(f"loss_ratio.{name}", ratio)
    behind = found["points_behind.one_rate"]
    found.judge("equal_epochs.large_is_behind", behind > MARGIN_POINTS)
    # Behind on what it was trained on: that is no question of generalisation.
    less = found["loss_ratio.one_rate"] > 1.3
    found.judge("equal_epochs.large_has_trained_less", less)
    level = found["points_behind.linear"].within(MARGIN_POINTS)
    found.judge("one_rate.scaling_makes_level", level)
    level = found["points_behind.equal_updates"].within(MARGIN_POINTS)
    found.judge("equal_updates.level", level)
    found.judge("root.leaves_large_behind", found["points_behind.root"] > 1)

    for size in (SMALL, LARGE):
        per_epoch = updates_per_epoch[size]
        found.exact(f"updates_per_epoch.{size}", per_epoch, "updates")
        found.exact(f"updates.{size}", per_epoch * NUM_EPOCHS, "updates")
    epochs = num_updates / updates_per_epoch[LARGE]
    found.exact("epochs_for_equal_updates", epochs, "epochs")
    root = root_called_linear(1.0, OLD_SIZE, NEW_SIZE)
    found.exact("factor.root", root, "ratio")
    factor = scale_by_rule(1.0, OLD_SIZE, NEW_SIZE, "sgd")
    found.exact("factor.linear", factor, "ratio")
    larger = found["factor.linear"] > found["factor.root"]
    found.judge("root.is_not_linear", larger)


def keep_race(found, race):
    """Updates and examples to the target, and what fits into memory."""
    smallest, *_, largest = TARGET_RATES
    rates = best_rates(race)
    best = {
        size: epochs[TARGET_RATES[size].index(rates[size])]
        for size, epochs in race.items()
    }
    for size in (smallest, largest):
        updates = best[size] * updates_per_epoch[size]
        found.mean(f"updates_to_target.{size}", updates, "updates")
    fewer, more = (
        found[f"updates_to_target.{size}"] for size in (largest, smallest)
    )
    found.judge("target.largest_needs_fewer_updates", fewer < more)
    found.ratio("examples_to_target.ratio", best[largest] / best[smallest])
    wasted = found["examples_to_target.ratio"] > MOST_EXAMPLES
    found.judge("target.largest_needs_more_examples", wasted)
    grids = TARGET_RATES.items()
    edges = [rates[size] in (grid[0], grid[-1]) for size, grid in grids]
    found.exact("rates_on_the_edge", sum(edges), "rates")
    found.judge("target.rates_lie_inside", found["rates_on_the_edge"] == 0)

    means = {size: epochs.mean() for size, epochs in best.items()}
    print("believed to be quickest:", largest_is_quickest(TARGET_RATES))
    print("wastes few examples:", stop_where_it_wastes(means))
    filled = fill_the_memory()
    found.exact("memory.filled", filled, "examples")
    updates = updates_per_epoch[filled]
    found.exact("memory.updates_per_epoch", updates, "updates")
    fits = found["memory.filled"] == largest
    found.judge("memory.fits_more_than_helps", fits, wasted)
    power = force_power_of_two(LIMIT)
    found.exact("power.chosen", power, "examples")
    found.exact("power.kept", keep_the_limit(LIMIT), "examples")
    found.exact("power.unused", 1 - power / LIMIT, "share")
    found.judge("power.leaves_memory_empty", found["power.unused"] > 0.25)


def keep_reuse(found, runs):
    """One model that goes from size to size, and new ones."""
    for first in (f"{SMALL}_first", f"{LARGE}_first"):
        gained = percent(runs[first]) - percent(runs[first], look=1)
        key = f"reused.points_for_second.{first}"
        found.mean(key, gained, POINTS)
        found.judge(f"reused.second_leads.{first}", found[key] > 1)
    # What the second size starts from, against a new model.
    first = f"{SMALL}_first"
    new, trained = (loss_of_run(runs[first], look=look) for look in (0, 1))
    found.ratio(f"reused.start.{first}", trained / new)
    starts_trained = found[f"reused.start.{first}"] < 0.8
    found.judge(f"reused.second_starts_trained.{first}", starts_trained)
    small = percent(runs["small"], look=0)[:NUM_SEEDS]
    anew = percent(runs["large"], look=0, rate=2) - small
    found.mean("anew.points_for_large", anew, POINTS)
    found.judge("anew.large_is_behind", found["anew.points_for_large"] < -1)


def keep_last_losses(found, epoch_losses):
    means, lasts = np.transpose(epoch_losses)
    found.mean("last_loss.off", np.abs(lasts - means) / means, "share")
    found.judge("last_loss.is_far_off", found["last_loss.off"] > 0.1)
    moved = np.sign(np.diff(lasts)) != np.sign(np.diff(means))
    found.share("last_loss.misleads", moved, "share of epochs")
    found.judge("last_loss.often_misleads", found["last_loss.misleads"] > 0.1)


def keep_schedules(found, schedules):
    for name in ("small", "large", "mended"):
        left = schedules[name][-1]
        found.exact(f"schedule.rate_left.{name}", left, "share")
    kept = found["schedule.rate_left.large"] == 1
    found.judge("schedule.never_reached", kept)
    fallen = found["schedule.rate_left.mended"] < 0.5
    found.judge("schedule.share_is_reached", fallen)
    rates = schedules["epochs"]
    full = rates.count(rates[0]) / len(rates)
    found.exact("schedule.full_rate_by_epochs", full, "share")
    soon = found["schedule.full_rate_by_epochs"] < 0.1
    found.judge("schedule.epochs_end_too_soon", soon)


def keep_clocks(found, first_updates, later_update, clocks):
    """The first update, the clock that does not wait, and the slow loader."""
    ratios = np.array(first_updates) / later_update
    few = "the range of first updates, no interval"
    interval = (np.median(ratios), ratios.min(), ratios.max())
    key, n = "first_update.ratio", NUM_TIMED
    found.interval(key, interval, n, "ratio", timing=True, few=few)
    found.judge("first_update.is_far_longer", found[key] > 10)
    share = np.divide(clocks["told"], clocks["waited"])
    found.ratio("unwaited.share", share, "share", timing=True)
    found.judge("unwaited.is_far_too_short", found["unwaited.share"] < 0.5)

    random = np.random.default_rng(FIRST_SEED)
    for name, seconds in (("loaded", "seconds"), ("ready", "ready_seconds")):
        # Lower quartiles: a slow moment of the machine only makes blocks
        # longer. Their interval is that of the bootstrap.
        quartiles = {}
        for size in (SMALL, LARGE):
            blocks = clocks["shares"][size][seconds]
            drawn = random.choice(blocks, (2000, TIMED_BLOCKS))
            quartiles[size] = np.quantile(drawn, 0.25, axis=1)
        gains = quartiles[SMALL] / quartiles[LARGE] * linear
        interval = np.quantile(gains, [0.5, 0.025, 0.975])
        key = f"pipeline.gain.{name}"
        found.interval(key, interval, TIMED_BLOCKS, "ratio", timing=True)
    found.judge("pipeline.hides_the_gain", found["pipeline.gain.loaded"] < 2)
    shown = found["pipeline.gain.ready"] > 2
    found.judge("pipeline.ready_batch_shows_it", shown)


def keep_seeds(found, runs):
    """Two near sizes, and one of them again."""
    names = ("small", "near", "again")
    small, near, again = (percent(runs[name]) for name in names)
    print("one seed says:", trust_one_seed(small, near))
    print("all seeds say:", compare_over_seeds(small, near))
    difference = small - near
    found.mean("two_sizes.difference", difference, POINTS)
    wrong = np.sign(difference) != np.sign(difference.mean())
    found.share("two_sizes.wrong", wrong, "share of seeds")
    found.judge("one_seed.is_often_wrong", found["two_sizes.wrong"] > 0.05)
    found.mean("one_size.difference", small - again, POINTS)
    found.mean("one_size.apart", np.abs(small - again), POINTS)
    found.judge("one_seed.moves_the_same_size", found["one_size.apart"] > 0.5)
    level = found["one_size.difference"].within(MARGIN_POINTS)
    found.judge("one_size.is_level_with_itself", level)
    counts = range(3, RACE_SEEDS + 1)
    samples = [difference[:count] for count in counts]
    found.curve("difference_by_seeds", counts, samples, POINTS)


def flattered_points(run):
    """How much better the best validation point looks than its test."""
    test = run["test"]["accuracy"][:, 0].T
    points = [
        report_the_best(validation) - report_the_test(validation, tested)
        for name in validations
        for validation, tested in zip(run[name]["accuracy"][:, 0].T, test)
    ]
    # The mean over the validation sets, for each seed.
    return 100 * np.reshape(points, (VALIDATION_SETS, -1)).mean(axis=0)


def keep_best_points(found, runs):
    noisy, quiet = (flattered_points(runs[name]) for name in ("noisy", "quiet"))
    for name, size, points in (
        ("noisy", NOISY_SIZE, noisy),
        ("quiet", LARGE, quiet),
    ):
        found.mean(f"best.flatters.{size}", points, POINTS)
        too_good = found[f"best.flatters.{size}"] > 1
        found.judge(f"best.is_too_good.{name}", too_good)
    found.mean("best.flatters.more", noisy - quiet, POINTS)
    more = found["best.flatters.more"] > 0
    found.judge("best.flatters_the_noisy_more", more)


def keep_random_labels(found, runs):
    for part, kept in (("train", RANDOM_SIZES[::2]), ("test", RANDOM_SIZES)):
        name = f"random_labels.{part}"
        samples = {
            size: percent(runs[f"random_labels.{size}"], part)
            for size in RANDOM_SIZES
        }
        found.curve(name, RANDOM_SIZES, samples.values(), "percent")
        for size in kept:
            found.mean(f"{name}.{size}", samples[size], "percent")
        if part == "train":
            gap = samples[RANDOM_SIZES[0]] - samples[RANDOM_SIZES[-1]]
            found.mean("random_labels.train_gap", gap, POINTS)
    more = found["random_labels.train_gap"] > MARGIN_POINTS
    found.judge("random_labels.small_stores_more", more)
    tests = [found[f"random_labels.test.{size}"] for size in RANDOM_SIZES]
    low, high = 50 - CHANCE_POINTS, 50 + CHANCE_POINTS
    chance = [test.between(low, high) for test in tests]
    found.judge("random_labels.test_is_chance", *chance)
    above = []
    for size in RANDOM_SIZES[::2]:
        key = f"labels_to_learn.test.{size}"
        found.mean(key, percent(runs[f"labels_to_learn.{size}"]), "percent")
        above.append(found[key] > 75)
    found.judge("labels_to_learn.test_is_above_chance", *above)


def comparison_mistakes_findings(
    runs, race, epoch_losses, schedules, first_updates, later_update, clocks
):
    """Values, judgements and series.

    runs: {name: {part: {"loss", "accuracy"}}}, each [looks, rates, seeds].
    race: {batch size: epochs to the target [rates, seeds]}.
    epoch_losses: [(mean, of the last batch)] of each epoch.
    schedules: {name: rate of each update}, as a share of the first.
    first_updates, later_update: processor seconds, of some and of one.
    clocks: seconds "told" and "waited" [blocks], and as "shares" what
        `measure_input_share` found, by batch size.
    """
    found = keep_findings()
    keep_rates(found, runs)
    keep_race(found, race)
    keep_reuse(found, runs)
    keep_last_losses(found, epoch_losses)
    keep_schedules(found, schedules)
    keep_clocks(found, first_updates, later_update, clocks)
    keep_seeds(found, runs)
    keep_best_points(found, runs)
    keep_random_labels(found, runs)
    return found.report()
