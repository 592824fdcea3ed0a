# %% [markdown]
# ## What is read from the times
#
# The time of an update is near to a line in the batch size. So the mean time
# of the two neighbours is what a power of two would take if it were nothing
# special, whatever the fixed cost of an update. "No difference" means that
# the whole interval is below the margin.

# %%
import numpy as np

from powers_of_two_problem import *
from snippets.count_updates import count_updates
from snippets.keep_findings import keep_findings

# The intervals hold for all comparisons of a program at once.
CONFIDENCE = 0.95
NUM_DRAWS = 5000
# Percent: less than this is no difference, for the mean over all sizes and
# for each of them.
MEAN_MARGIN = 10.0
EACH_MARGIN = 30.0
# Examples of a data set whose epoch is counted.
NUM_EXAMPLES = 50000
KINDS = {"gain": NEXT, "gain_over_multiples": NEXT_MULTIPLE}


def draw_blocks():
    """The blocks as they are, then drawn again with replacement."""
    random = np.random.default_rng(SEED)
    again = random.integers(NUM_BLOCKS, size=(NUM_DRAWS, NUM_BLOCKS))
    return np.concatenate([np.arange(NUM_BLOCKS)[None], again])


def medians_of(times, blocks):
    """{size: its median time in its group [draws]}.

    Each block is relative to the mean of its middle times, which takes out
    what was slow for a whole block. The medians are taken before the
    neighbours are averaged: disturbances only ever add time, and the mean of
    two times has more of them than one time.
    """
    usual = np.sort(list(times.values()), axis=0)[1:-1].mean(axis=0)
    return {
        size: np.median((each / usual)[blocks], axis=1)
        for size, each in times.items()
    }


def gain_interval(draws, comparisons=1):
    """The first of the draws, with the interval that the others give.

    With several comparisons the interval is so wide that all of them hold at
    once, each with a share of the risk.
    """
    risk = (1 - CONFIDENCE) / comparisons
    return draws[0], *np.quantile(draws[1:], [risk / 2, 1 - risk / 2])


def keep_gains(found, seconds):
    """Percent more that the neighbours take than the power of two."""
    blocks, gains = draw_blocks(), {}
    for (name, size), times in seconds.items():
        medians = medians_of(times, blocks)
        for kind, away in KINDS.items():
            neighbours = (medians[size - away] + medians[size + away]) / 2
            gain = 100 * (neighbours / medians[size] - 1)
            gains.setdefault((kind, name), {})[size] = gain
    for (kind, name), own in gains.items():
        interval = gain_interval(np.mean(list(own.values()), axis=0))
        mean = f"mean_{kind}.{name}"
        found.interval(mean, interval, NUM_BLOCKS, "percent", timing=True)
        is_width = name.startswith("width")
        if is_width and kind == "gain":
            # What an odd width costs depends on the machine's libraries.
            continue
        keys = [f"{kind}.{name}.{size}" for size in own]
        for key, gain in zip(keys, own.values()):
            interval = gain_interval(gain, len(KINDS) * len(seconds))
            found.interval(key, interval, NUM_BLOCKS, "percent", timing=True)
        each = [found[key] for key in keys]
        found.judge(f"no_{kind}.{name}", *(gain < EACH_MARGIN for gain in each))
        found.judge(f"no_{mean}", found[mean] < MEAN_MARGIN)
        if not is_width:
            found.line(f"{kind}.{name}", list(own), keys)
        if not is_width and kind == "gain":
            largest = max(gain.high for gain in each)
            key = f"excluded_gain.{name}"
            found.exact(key, largest, "percent", timing=True)


def keep_time_per_example(found, seconds):
    """All sizes in a row, relative to the largest power of two."""
    per_example = {}
    for (name, _), times in seconds.items():
        if not name.startswith("width"):
            own = per_example.setdefault(name, {})
            own |= {size: each / size for size, each in times.items()}
    for name, times in per_example.items():
        # Values of their own, from which only the line is kept.
        curve, sizes = keep_findings(), sorted(times)
        for size in sizes:
            curve.median(str(size), times[size] / times[SIZES[-1]], "ratio")
        curve.line(name, sizes, [str(size) for size in sizes])
        found.series[f"time_per_example.{name}"] = curve.series[name]
    times = per_example["mlp"]
    for size in sorted({SIZES[1], SIZES[-1]}):
        ratios = times[size + NEXT] / times[size]
        key = f"time_per_example.mlp.{size + NEXT}"
        found.median(key, ratios, "ratio", timing=True)
    ratios = times[SIZES[0]] / times[SIZES[-1]]
    found.median("gain_of_size.mlp", ratios, "ratio", timing=True)
    found.judge(
        "size_matters.mlp", found["gain_of_size.mlp"] > 1 + MEAN_MARGIN / 100
    )


def keep_counts(found):
    """Updates of an epoch, and the examples of its shorter last batch."""
    for size in (127, 128, 129):
        count = count_updates(NUM_EXAMPLES, size)
        found.exact(f"updates_per_epoch.{size}", count, "updates")
    for size in SIZES:
        found.exact(f"left_over.{size}", NUM_EXAMPLES % size, "examples")
    found.judge(
        "every_size_leaves_a_rest",
        *(found[f"left_over.{size}"] > 0 for size in SIZES),
    )


def powers_of_two_findings(seconds):
    """Values, judgements and series.

    seconds: {(name, power of two): {size: seconds of an update, of each
        block}}; name is that of the network, or `width`.
    """
    found = keep_findings()
    keep_gains(found, seconds)
    keep_time_per_example(found, seconds)
    keep_counts(found)
    return found.report()
