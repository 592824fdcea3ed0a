# %% [markdown]
# ## What is read from the runs
#
# Relative differences have a geometric mean. Differences in accuracy are
# paired by seed, which has its own data. A judgement holds when every seed, or
# the whole interval, is on its side.

# %%
import numpy as np

from gradient_accumulation_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

# A relative difference below this is rounding. Set beforehand.
ROUNDING = {"float32": 1e-4, "float64": 1e-9}
# A mistake loses if it costs more than the first, and is small if it costs
# less than the second, in percentage points. The first was set beforehand,
# the second after a pilot, to leave room for intervals of ten seeds.
MARGIN_POINTS = 1.0
SMALL_POINTS = 5.0
# Adam hardly notices a change that moves its weights less than this, and an
# error of the gradient above the second counts. Both set after a pilot.
HARDLY = 0.05
WRONG = 0.03
OWN_UNITS = {
    "moved_early": "weight",
    "gradient_over_mean": "ratio",
    "weight_bytes": "bytes",
    "accumulator_bytes": "bytes",
    "passes": "passes",
    "updates": "updates",
    "examples_left_over": "examples",
    "passes_in_next_update": "passes",
    "schedule_count": "steps",
}


def differing(found, key, errors, unit="seeds"):
    """Keep how many errors are more than rounding; returns what was kept."""
    differ = np.asarray(errors) > ROUNDING["float64"]
    found.exact(key, int(differ.sum()), unit)
    return found[key]


def keep_equality(found, gradients, weights):
    """Accumulated against the whole batch: gradients, and weights."""
    errors = [gradients["float64", size] for size in MICRO_BATCH_SIZES]
    key = "gradients_differ.float64"
    differ = differing(found, key, errors, "comparisons")
    found.judge("gradient_is_equal.float64", differ == 0)
    differ = [
        differing(
            found, f"weights_differ.float64.{kind}", weights["float64", kind]
        )
        for kind in OPTIMIZERS
    ]
    found.judge("weights_are_equal.float64", *[each == 0 for each in differ])
    for key, errors in {
        "gradient_error.float32.1": gradients["float32", 1],
        "weights_error.float32.sgd": weights["float32", "sgd"],
        "weights_error.float32.adam": weights["float32", "adam"],
    }.items():
        found.ratio(key, 1e6 * errors, "parts per million")
    for mistake in ("mean_of_means", "wrong_divisor"):
        found.ratio(f"group_error.{mistake}", gradients[mistake])
    found.ratio("undivided_length", gradients["no_division"])


def keep_tokens(found, tokens):
    """Means over tokens, of micro-batches with unequal numbers of them."""
    errors = [tokens["token_mean", order] for order in ("mixed", "by_length")]
    differ = differing(found, "tokens_differ", errors, "comparisons")
    found.judge("tokens_are_repaired", differ == 0)
    mixed = tokens["mean_of_means", "mixed"]
    by_length = tokens["mean_of_means", "by_length"]
    found.ratio("token_error.mixed", mixed)
    found.judge("tokens_go_wrong", found["token_error.mixed"] > WRONG)
    found.ratio("token_error.by_length", by_length)
    found.ratio("token_error_grows", by_length / mixed)
    found.judge("order_by_length_is_worse", found["token_error_grows"] > 1.5)
    largest = tokens["largest_weight", "by_length"]
    found.ratio("token_weight.by_length", largest)


def keep_undivided(found, undivided):
    """Weights without the division, and what they are said to equal."""
    for name in ("sgd", "adam", "adam_with_large_epsilon"):
        found.ratio(f"undivided.{name}", undivided[name])
    found.judge("adam_hardly_notices", found["undivided.adam"] < HARDLY)
    for kind, same in (("sgd", "a_larger_rate"), ("adam", "a_smaller_epsilon")):
        name = f"{kind}_is_{same}"
        key = f"undivided_differs.{name}"
        differ = differing(found, key, undivided[name])
        found.judge(f"{kind}_undivided_is_{same}", differ == 0)


def keep_mistakes(found, powers, points):
    """What each mistake costs, in percentage points of accuracy."""
    on_edge = [
        powers[kind] in (grid[0], grid[-1])
        for kind, grid in RATE_POWERS.items()
    ]
    found.exact("rates_on_the_edge", sum(on_edge), "rates")
    found.judge("rates_lie_inside_their_grids", found["rates_on_the_edge"] == 0)
    found.mean("accuracy.sgd.none", points["sgd", "none"], "percent")
    large = ["lost.sgd.no_division", "lost.sgd.no_reset", "lost.adam.no_reset"]
    small = []
    for kind in OPTIMIZERS:
        keys = [f"lost.{kind}.{mistake}" for mistake in MISTAKES]
        for key, mistake in zip(keys, MISTAKES):
            lost = points[kind, "none"] - points[kind, mistake]
            found.mean(key, lost, "percentage points")
        small += [found[key] for key in keys if key not in large]
    for key in large:
        name = key.replace("lost", "loses")
        found.judge(name, found[key] > MARGIN_POINTS)
    found.judge("others_stay_small", *[lost < SMALL_POINTS for lost in small])


def keep_costs(found, saved, seconds):
    """Memory and time over the size of the micro-batch."""
    sizes = sorted(MICRO_BATCH_SIZES)
    if saved:
        # What one more example adds.
        found.exact("saved_bytes.1", saved[2] - saved[1], "bytes")
        shares = {size: saved[size] / saved[BATCH_SIZE] for size in sizes}
        found.exact("saved_share.32", shares[32], "share")
        found.judge(
            "memory_follows_the_micro_batch", found["saved_share.32"] < 0.26
        )
        found.points("saved_share", sizes, shares.values(), "share")
    whole = seconds["accumulate", BATCH_SIZE]
    slower = {size: seconds["accumulate", size] / whole for size in sizes}
    for size in (1, 32):
        found.ratio(f"example_time.{size}", slower[size], timing=True)
    found.judge("one_by_one_is_slow", found["example_time.1"] > 4)
    means = [mean_interval(each, ratio=True) for each in slower.values()]
    mean, low, high = zip(*means)
    found.points("example_time", sizes, mean, "ratio", low, high)
    over = seconds["accumulate", 32] / seconds["update", 32]
    found.ratio("time_over_updating.32", over, timing=True)


def keep_own(found, own):
    """What the framework's own accumulation does."""
    # In Keras in float32, so that only the first digits are not rounding.
    ratio = round(float(own["gradient_over_mean"]), 3)
    for name, unit in OWN_UNITS.items():
        value = ratio if name == "gradient_over_mean" else own[name]
        found.exact(f"own.{name}", value, unit)
    for name in ("batch", "mean_of_means"):
        equal = own[f"from_{name}"] < ROUNDING["float32"]
        found.exact(f"own.equals_{name}", int(equal), "cases")
    kept = {name: found[f"own.{name}"] for name in OWN_UNITS}
    found.judge("own_waits", kept["moved_early"] == 0)
    found.judge("own_averages", kept["gradient_over_mean"] == 1)
    found.judge(
        "accumulator_is_as_large_as_the_weights",
        kept["accumulator_bytes"] == kept["weight_bytes"],
    )
    found.judge(
        "own_is_mean_of_means",
        found["own.equals_mean_of_means"] == 1,
        found["own.equals_batch"] == 0,
    )
    found.judge("own_carries_the_last_group", kept["examples_left_over"] > 0)
    found.judge(
        "own_next_group_is_too_large",
        kept["passes_in_next_update"] > ACCUMULATION_STEPS,
    )
    found.judge(
        "own_schedule_counts_passes", kept["schedule_count"] > kept["updates"]
    )


def gradient_accumulation_findings(
    gradients, weights, tokens, undivided, powers, points, saved, seconds, own
):
    """Values, judgements and series.

    An error is a relative difference, [seeds].

    gradients: {(precision, micro-batch size) or mistake: errors}, and for
        "no_division" the length over that of the mean.
    weights: {(precision, optimizer): errors}.
    tokens: {("token_mean" or "mean_of_means", order): errors}, and for
        "largest_weight" what a token counts at most, over the mean.
    undivided: {pair of runs: distance over how far the second moved, [seeds]}.
    powers: {optimizer: the chosen rate is three to the power of it}.
    points: {(optimizer, mistake or "none"): test accuracy in percent, [seeds]}.
    saved: {micro-batch size: bytes that a backward pass needs}; empty where
        they cannot be counted.
    seconds: {("accumulate" or "update", micro-batch size): [repeats]}.
    own: what the framework's own way did: see OWN_UNITS, and "from_batch" and
        "from_mean_of_means", relative differences for unequal micro-batches.
    """
    found = keep_findings()
    updates = len(groups_of(in_order))
    found.exact(f"updates_per_epoch.{BATCH_SIZE}", updates, "updates")
    examples = sum(part.shape[1] for part in last_group)
    found.exact("last_group.examples", examples, "examples")
    found.exact("last_group.passes", len(last_group), "passes")
    keep_equality(found, gradients, weights)
    keep_tokens(found, tokens)
    keep_undivided(found, undivided)
    keep_mistakes(found, powers, points)
    keep_costs(found, saved, seconds)
    keep_own(found, own)
    return found.report()
