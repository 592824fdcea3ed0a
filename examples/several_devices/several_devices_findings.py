# %% [markdown]
# ## What is read from the runs
#
# A rate is chosen by the mean validation accuracy of the seeds and reported
# on test data. Differences are paired by seed, which has its own data. A
# judgement holds when every seed, or the whole interval, is on its side.

# %%
import numpy as np

from several_devices_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

# A relative difference below this is rounding, in float64.
ROUNDING = 1e-8
# Only a larger difference is called one, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0
POINTS = "percentage points"
BYTES_OF_WEIGHT = 4


def keep_same(found, differences, apart):
    """Where the devices' update is that of one process."""
    shared = [f"normalised_shared.{size}" for size in NORMALISED_SIZES]
    for case in ("even", "means", "accumulated", "updates", *shared):
        equal = int((differences[case] < ROUNDING).sum())
        found.exact(f"equal.{case}", equal, "seeds")
    weighted = [differences[f"uneven_weighted.{n}"] for n in SECOND_SHARES]
    equal = int((np.array(weighted) < ROUNDING).sum())
    found.exact("equal.uneven_weighted", equal, "comparisons")
    found.exact("devices_differ", apart, "weight")

    def exact(*cases, of=NUM_SEEDS):
        return [found[f"equal.{case}"] == of for case in cases]

    found.judge("even_is_exact", *exact("even", "means"))
    found.judge("updates_are_exact", *exact("updates"))
    found.judge("shared_statistics_are_exact", *exact(*shared))
    every = len(SECOND_SHARES) * NUM_SEEDS
    found.judge("weighted_is_exact", *exact("uneven_weighted", of=every))
    found.judge("devices_stay_alike", found["devices_differ"] == 0)


def keep_different(found, differences):
    """Where it is not, and by how much."""
    for judgement, name, series, sizes in (
        ("uneven_means_differ", "uneven_means", "uneven", SECOND_SHARES[1:]),
        (
            "local_statistics_differ",
            "normalised_local",
            "normalised",
            NORMALISED_SIZES,
        ),
    ):
        keys = [f"difference.{name}.{size}" for size in sizes]
        for key, size in zip(keys, sizes):
            found.ratio(key, differences[f"{name}.{size}"])
        found.line(series, sizes, keys)
        found.judge(judgement, *[found[key] > ROUNDING for key in keys])
    key = "difference.uneven_means.0"
    found.ratio(key, differences["uneven_means.0"])
    halved = found[key].between(0.5 - ROUNDING, 0.5 + ROUNDING)
    found.judge("empty_share_halves", halved)


def keep_epochs(found, epochs):
    """Which examples the devices see, if the last batch is kept or dropped."""
    for size in EPOCH_SIZES:
        shares = [each[size, False] for each in epochs]
        batches = [batch for share in shares for batch in share]
        seen = [index for batch in batches for index in batch]
        key = f"repeated.{size}.keep"
        found.exact(key, len(seen) - len(set(seen)), "examples")
        found.judge(f"some_seen_twice.{size}", found[key] > 0)
        empty = sum(not batch for batch in batches)
        found.exact(f"empty_shares.{size}.keep", empty, "batches")
        last = abs(len(shares[0][-1]) - len(shares[1][-1]))
        found.exact(f"last_shares_differ.{size}.keep", last, "examples")
        seen = {
            index
            for each in epochs
            for batch in each[size, True]
            for index in batch
        }
        found.exact(f"left_out.{size}.drop", size - len(seen), "examples")
    found.judge("a_share_is_empty.97", found["empty_shares.97.keep"] > 0)
    found.judge("dropping_leaves_out.101", found["left_out.101.drop"] > 0)


def keep_times(found, seconds, num_weights):
    """What the exchange costs."""
    exchanged = BYTES_OF_WEIGHT * num_weights
    found.exact("bytes_per_update", exchanged, "bytes")
    for size in (8, 32, 2048):
        slower = seconds["update", size] / seconds["local", size]
        found.ratio(f"slower.{size}", slower, timing=True)
    shares = {
        size: seconds["exchange", size] / seconds["update", size]
        for size in TIMED_SIZES
    }
    falls = shares[TIMED_SIZES[0]] / shares[TIMED_SIZES[-1]]
    found.ratio("share_falls_by", falls, timing=True)
    found.judge("share_falls", found["share_falls_by"] > 1.5)
    means = [mean_interval(each, ratio=True) for each in shares.values()]
    mean, low, high = zip(*means)
    found.points("exchange_share", TIMED_SIZES, mean, "ratio", low, high)


def choose_rate(found, key, validation):
    """Keep the best rate; its interval is over seeds that are drawn again.

    validation: accuracy [rates, seeds]. Returns the number of the rate.
    """
    best = int(validation.mean(axis=1).argmax())
    random = np.random.default_rng(FIRST_SEED)
    draws = random.integers(NUM_SEEDS, size=(1000, NUM_SEEDS))
    chosen = validation[:, draws].mean(axis=2).argmax(axis=0)
    low, high = np.quantile(chosen, [0.025, 0.975]).round().astype(int)
    powers = np.take(RATE_POWERS, [best, min(low, best), max(high, best)])
    found.interval(key, 2.0**powers, NUM_SEEDS, "rate")
    return best


def keep_rates(found, accuracy):
    """Two devices against one, after equal epochs, updates and seconds."""
    one, two = (
        {part: accuracy[size, part] for part in ("validation", "test")}
        for size in (DEVICE_BATCH_SIZE, GLOBAL_BATCH_SIZE)
    )
    budgets = {
        "epochs": NUM_UPDATES // NUM_DEVICES,
        "updates": NUM_UPDATES,
        "seconds": NUM_UPDATES / found[f"slower.{DEVICE_BATCH_SIZE}"].value,
    }
    rates = 2.0 ** np.array(RATE_POWERS)
    slow = RATE_POWERS.index(SLOW_POWER)
    one_points = 100 * one["test"][-1]
    best_one = choose_rate(found, "rate.one", one["validation"][-1])
    found.curve("accuracy.one", rates, one_points, "percent")
    for budget, updates in budgets.items():
        # The last look before the budget is spent, at least the first.
        look = max(1, int(updates // LOOK)) - 1
        points = 100 * two["test"][look]
        found.curve(f"accuracy.two.{budget}", rates, points, "percent")
        # With a rate so low that no network is near its limit.
        found.mean(
            f"doubling_gained.{budget}",
            points[slow + 1] - points[slow],
            POINTS,
            timing=budget == "seconds",
        )
        if budget == "seconds":
            continue
        best = choose_rate(found, f"rate.{budget}", two["validation"][look])
        if budget == "epochs":
            for key, gain in {
                "tuned": points[best] - one_points[best_one],
                "slow_same": points[slow] - one_points[slow],
                "slow_doubled": points[slow + 1] - one_points[slow],
            }.items():
                found.mean(f"gained.epochs.{key}", gain, POINTS)
    found.judge(
        "same_slow_rate_falls_behind",
        found["gained.epochs.slow_same"] < -MARGIN_POINTS,
    )
    found.judge(
        "doubling_a_slow_rate_helps",
        found["doubling_gained.epochs"] > MARGIN_POINTS,
    )
    chosen = [found[f"rate.{key}"] for key in ("one", "epochs", "updates")]
    inside = [rate.between(rates[0], rates[-1]) for rate in chosen]
    found.judge("rates_lie_inside_their_grid", *inside)


def several_devices_findings(
    accuracy, differences, apart, epochs, times, refusals
):
    """Values, judgements and series.

    accuracy: {(batch size, "validation" or "test"): [looks, rates, seeds]}.
    differences: {case: relative difference of the weights' change, [seeds]}.
    apart: the largest difference of a weight between the devices.
    epochs: for each device {(examples, whether the rest is dropped): batches
        of examples' numbers}.
    times: ({("exchange", "update" or "local", examples): seconds [repeats]},
        number of weights of the network that is timed).
    refusals: {"usual_training" and "synchronised_layer": error, or ""}.
    """
    found = keep_findings()
    found.exact("global_batch_size", GLOBAL_BATCH_SIZE, "examples")
    for size in (DEVICE_BATCH_SIZE, GLOBAL_BATCH_SIZE):
        found.exact(f"updates_per_epoch.{size}", NUM_TRAIN // size, "updates")
    keep_same(found, differences, apart)
    keep_different(found, differences)
    keep_epochs(found, epochs)
    for name, refusal in refusals.items():
        found.exact(f"refused.{name}", int(bool(refusal)), "programs")
        found.judge(f"{name}_runs", found[f"refused.{name}"] == 0)
    keep_times(found, *times)
    keep_rates(found, accuracy)
    return found.report()
