# %% [markdown]
# ## What is read from the times
#
# Ratios of times pair the repeats. Their median is reported, which a few
# disturbed repeats do not move. Margins were set before the run.

# %%
import numpy as np

from feeding_the_device_problem import *
from snippets.keep_findings import keep_findings

SMALLEST, LARGEST = BATCH_SIZES[0], BATCH_SIZES[-1]
# From here on to the largest, what more examples per batch bring.
SMALL_SIZE = 8
# Above this ratio of the loop's time to that with the batches in memory, the
# loader is the limit. "Clearly" more is more than the factor.
LIMIT_RATIO = 1.2
MARGIN_FACTOR = 1.5
# A rule holds if the loop is no further from it than by this factor. Wide,
# for the worker and the network share memory and caches.
RULE_FACTOR = 4.0


def seconds_of(times, size, way="plain", network="small"):
    """Per batch, as an array."""
    return np.array(times[network, size, way])


def keep_ratio(found, key, over, under, unit="ratio"):
    found.median(key, over / under, unit, timing=True)


def near_rule(finding):
    return finding.between(1 / RULE_FACTOR, RULE_FACTOR)


def keep_rates(found, loop, ready):
    """Examples per second, and what more of them per batch bring."""
    start = seconds_of(loop, SMALLEST)
    for size in BATCH_SIZES:
        update = seconds_of(ready, size)
        keep_ratio(found, f"rate.ready.{size}", size * start, update)
        for way in WAYS:
            taken = seconds_of(loop, size, way)
            keep_ratio(found, f"rate.{way}.{size}", size * start, taken)
        plain = seconds_of(loop, size)
        keep_ratio(found, f"ratio.plain.{size}", plain, update)
    more = LARGEST / SMALL_SIZE
    fed, starved = (
        more * seconds_of(times, SMALL_SIZE) / seconds_of(times, LARGEST)
        for times in (ready, loop)
    )
    keep_ratio(found, "larger.ready", fed, 1)
    keep_ratio(found, "larger.plain", starved, 1)
    keep_ratio(found, "larger.ready_over_plain", fed, starved)
    found.judge(
        "larger_helps_a_fed_device_more",
        found["larger.ready_over_plain"] > MARGIN_FACTOR,
    )
    found.judge(
        "loader_is_the_limit",
        found[f"ratio.plain.{MIDDLE_SIZE}"] > LIMIT_RATIO,
        found[f"ratio.plain.{LARGEST}"] > LIMIT_RATIO,
    )


def keep_remedies(found, loop, load):
    """How many times as many examples per second as plain loading."""
    for size in BATCH_SIZES:
        plain = seconds_of(loop, size)
        for way in ("ahead", "workers", "cached", "whole"):
            taken = seconds_of(loop, size, way)
            keep_ratio(found, f"gain.{way}.{size}", plain, taken)
    # How much quicker the loading itself becomes, from unpacked images.
    one_by_one = seconds_of(load, MIDDLE_SIZE, "cached")
    whole = seconds_of(load, MIDDLE_SIZE, "whole")
    keep_ratio(found, f"load_gain.whole.{MIDDLE_SIZE}", one_by_one, whole)
    found.judge(
        "ahead_slows_one_example",
        found[f"gain.ahead.{SMALLEST}"] < 1 / LIMIT_RATIO,
    )
    found.judge("whole_helps", found[f"gain.whole.{MIDDLE_SIZE}"] > 1)
    found.judge("cached_helps", found[f"gain.cached.{LARGEST}"] > 1)


def keep_rules(found, loop, ready, load):
    """The loop's time over what the rule makes of its two parts."""
    for size in BATCH_SIZES:
        loading, update = (seconds_of(times, size) for times in (load, ready))
        plain, ahead = seconds_of(loop, size), seconds_of(loop, size, "ahead")
        if size != MIDDLE_SIZE:
            keep_ratio(found, f"load_over_update.{size}", loading, update)
        keep_ratio(found, f"sum_rule.{size}", plain, loading + update)
        longer = np.maximum(loading, update)
        keep_ratio(found, f"maximum_rule.{size}", ahead, longer)
    wide = MIDDLE_SIZE, "plain", "wide"
    plain, update, loading = (
        seconds_of(times, *wide) for times in (loop, ready, load)
    )
    ahead = seconds_of(loop, MIDDLE_SIZE, "ahead", "wide")
    keep_ratio(found, "wide.load_over_update", loading, update)
    keep_ratio(found, "wide.gain.ahead", plain, ahead)
    keep_ratio(found, "wide.sum_rule", plain, loading + update)
    found.judge(
        "the_sum_rule_holds",
        near_rule(found[f"sum_rule.{LARGEST}"]),
        near_rule(found["wide.sum_rule"]),
    )
    found.judge(
        "the_maximum_rule_holds", near_rule(found[f"maximum_rule.{LARGEST}"])
    )
    # From this size on loading takes longer than the update: both grow in
    # proportion to the examples, but an update has a fixed cost as well.
    small, large = (seconds_of(ready, size) for size in (SMALLEST, LARGEST))
    each = (large - small) / (LARGEST - SMALLEST)
    per_example = seconds_of(load, LARGEST) / LARGEST
    keep_ratio(
        found, "limit_size", small - each, per_example - each, "examples"
    )


def keep_epochs(found, first, unpacked_again, new_crops):
    """What happens once per epoch."""
    ahead, plain = (np.array(first[way]) for way in ("ahead", "plain"))
    keep_ratio(found, "first_batch.ahead", ahead, plain)
    found.judge(
        "first_batch_waits_for_workers",
        found["first_batch.ahead"] > MARGIN_FACTOR,
    )
    found.exact("unpacked_again.cached_ahead", unpacked_again, "images")
    for name, count in new_crops.items():
        found.exact(f"epochs_that_differ.{name}", count, "epochs")
    found.judge(
        "a_cache_survives_the_worker",
        found["unpacked_again.cached_ahead"] == 0,
    )
    found.judge(
        "a_cache_behind_the_crop_freezes_it",
        found["epochs_that_differ.crops_kept"] == 0,
    )
    found.judge(
        "a_seed_freezes_the_crop", found["epochs_that_differ.seeded"] == 0
    )


def feeding_the_device_findings(
    loop, ready, load, first, unpacked_again, new_crops
):
    """Values, judgements and series.

    loop, ready, load: {(network, batch size, way): seconds per batch, one for
        each repeat}, of the loop, with its batch in memory, without updates.
    first: {way: seconds until the first batch, one for each repeat}.
    unpacked_again: images that the second epoch unpacks, behind a worker.
    new_crops: {how crops are drawn: later epochs with other crops}.
    """
    found = keep_findings()
    keep_rates(found, loop, ready)
    keep_remedies(found, loop, load)
    keep_rules(found, loop, ready, load)
    keep_epochs(found, first, unpacked_again, new_crops)
    return found.report()
