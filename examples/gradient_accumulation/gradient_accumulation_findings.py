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


def judge_rounding(found, judgement, key, *errors):
    """Hold that no difference is more than rounding, and keep how many are."""
    differ = np.concatenate(errors) > ROUNDING["float64"]
    found.exact(key, int(differ.sum()), "comparisons")
    found.judge(judgement, found[key] == 0)


def keep_equality(found, gradient_errors, weight_errors):
    """Accumulated against the whole batch: gradients, and weights."""
    for name, errors in (
        ("gradient_is_equal", gradient_errors),
        ("weights_are_equal", weight_errors),
    ):
        doubles = [each for key, each in errors.items() if key[0] == "float64"]
        key = f"{name.split('_')[0]}_differs.float64"
        judge_rounding(found, f"{name}.float64", key, *doubles)
    single = 1e6 * gradient_errors["float32", 1]
    found.ratio("gradient_error.float32.1", single, "parts per million")
    for kind in OPTIMIZERS:
        single = 1e6 * weight_errors["float32", kind]
        key = f"weights_error.float32.{kind}"
        found.ratio(key, single, "parts per million")


def keep_costs(found, saved, seconds):
    """Memory and time over the size of the micro-batch."""
    sizes = sorted(MICRO_BATCH_SIZES)
    found.exact("saved_bytes.1", saved[1], "bytes")
    shares = {size: saved[size] / saved[BATCH_SIZE] for size in sizes}
    key = f"saved_share.{MICRO_BATCH_SIZE}"
    found.exact(key, shares[MICRO_BATCH_SIZE], "share")
    found.judge("memory_follows_the_micro_batch", found[key] < 0.26)
    found.points("saved_share", sizes, shares.values(), "share")

    whole = seconds["accumulate", BATCH_SIZE]
    slower = {size: seconds["accumulate", size] / whole for size in sizes}
    for size in (1, MICRO_BATCH_SIZE):
        found.ratio(f"example_time.{size}", slower[size], timing=True)
    found.judge("one_by_one_is_slow", found["example_time.1"] > 4)
    means = [mean_interval(each, ratio=True) for each in slower.values()]
    mean, low, high = zip(*means)
    found.points("example_time", sizes, mean, "ratio", low, high)
    over = seconds["accumulate", MICRO_BATCH_SIZE]
    over = over / seconds["update", MICRO_BATCH_SIZE]
    found.ratio(f"time_over_updating.{MICRO_BATCH_SIZE}", over, timing=True)


def keep_mistakes(found, powers, points):
    """What each mistake costs, in percentage points of accuracy."""
    on_edge = [
        powers[kind] in (RATE_POWERS[kind][0], RATE_POWERS[kind][-1])
        for kind in OPTIMIZERS
    ]
    found.exact("rates_on_the_edge", sum(on_edge), "rates")
    found.judge("rates_lie_inside_their_grids", found["rates_on_the_edge"] == 0)
    found.mean("accuracy.sgd.none", points["sgd", "none"], "percent")
    numbers = range(1, len(MISTAKES) + 1)
    for kind in OPTIMIZERS:
        keys = [f"lost.{kind}.{mistake}" for mistake in MISTAKES]
        for key, mistake in zip(keys, MISTAKES):
            lost = points[kind, "none"] - points[kind, mistake]
            found.mean(key, lost, "percentage points")
        found.line(f"lost.{kind}", numbers, keys)
    large = ["sgd.no_division", "sgd.no_reset", "adam.no_reset"]
    for name in large:
        found.judge(f"loses.{name}", found[f"lost.{name}"] > MARGIN_POINTS)
    every = [f"{kind}.{name}" for kind in OPTIMIZERS for name in MISTAKES]
    small = [f"lost.{name}" for name in every if name not in large]
    found.judge(
        "others_stay_small", *[found[key] < SMALL_POINTS for key in small]
    )


def keep_errors(found, group_errors, undivided_length, undivided):
    """How far off a gradient is, and the weights without the division."""
    for mistake, errors in group_errors.items():
        found.ratio(f"group_error.{mistake}", errors)
    found.ratio("undivided_length", undivided_length)
    for name in ("sgd", "adam", "adam_with_large_epsilon"):
        found.ratio(f"undivided.{name}", undivided[name])
    found.judge("adam_hardly_notices", found["undivided.adam"] < HARDLY)
    for name in ("sgd_is_a_larger_rate", "adam_is_a_smaller_epsilon"):
        kind, rest = name.split("_", 1)
        key = f"undivided_differs.{name}"
        judge_rounding(found, f"{kind}_undivided_{rest}", key, undivided[name])


def keep_tokens(found, token_errors, token_weights):
    """Means over tokens, of micro-batches with unequal numbers of them."""
    orders = ("mixed", "by_length")
    errors = [token_errors["token_mean", order] for order in orders]
    judge_rounding(found, "tokens_are_repaired", "tokens_differ", *errors)
    mixed, by_length = (token_errors["mean_of_means", each] for each in orders)
    found.ratio("token_error.mixed", mixed)
    found.judge("tokens_go_wrong", found["token_error.mixed"] > WRONG)
    found.ratio("token_error.by_length", by_length)
    found.ratio("token_error_grows", by_length / mixed)
    found.judge("order_by_length_is_worse", found["token_error_grows"] > 1.5)
    found.ratio("token_weight.by_length", token_weights["by_length"])


def keep_own(found, own):
    """What the framework's own accumulation does."""
    # In Keras in float32, so that only the first digits are not rounding.
    ratio = round(float(own["gradient_over_mean"]), 3)
    own = own | {"gradient_over_mean": ratio}
    for name, unit in OWN_UNITS.items():
        found.exact(f"own.{name}", own[name], unit)
    for name in ("batch", "mean_of_means"):
        equal = own[f"from_{name}"] < ROUNDING["float32"]
        found.exact(f"own.equals_{name}", int(equal), "cases")
    for judgement, truth in {
        "accumulator_is_as_large_as_the_weights": (
            found["own.accumulator_bytes"] == found["own.weight_bytes"]
        ),
        "own_waits": found["own.moved_early"] == 0,
        "own_averages": found["own.gradient_over_mean"] == 1,
        "own_is_mean_of_means": (found["own.equals_mean_of_means"] == 1)
        & (found["own.equals_batch"] == 0),
        "own_carries_the_last_group": found["own.examples_left_over"] > 0,
        "own_next_group_is_too_large": (
            found["own.passes_in_next_update"] > ACCUMULATION_STEPS
        ),
        "own_schedule_counts_passes": (
            found["own.schedule_count"] > found["own.updates"]
        ),
    }.items():
        found.judge(judgement, truth)


def gradient_accumulation_findings(
    gradient_errors,
    weight_errors,
    saved,
    seconds,
    powers,
    points,
    group_errors,
    undivided_length,
    undivided,
    token_errors,
    token_weights,
    own,
):
    """Values, judgements and series.

    An error is a relative difference, [seeds].

    gradient_errors: {(precision, micro-batch size): errors}.
    weight_errors: {(precision, optimizer): errors}.
    saved: {micro-batch size: bytes that a backward pass needs}.
    seconds: {("accumulate" or "update", micro-batch size): [repeats]}.
    powers: {optimizer: the chosen rate is three to the power of it}.
    points: {(optimizer, mistake or "none"): test accuracy in percent, [seeds]}.
    group_errors: {mistake: errors of the last group's gradient}.
    undivided_length: of the gradient, over that of the mean, [seeds].
    undivided: {pair of runs: distance over how far the second moved, [seeds]}.
    token_errors: {("token_mean" or "mean_of_means", order): errors}.
    token_weights: {order: largest weight of a token, over the mean, [seeds]}.
    own: what the framework's own way did: see OWN_UNITS, and "from_batch" and
        "from_mean_of_means", relative differences for unequal micro-batches.
    """
    found = keep_findings()
    updates = len(groups_of(in_order))
    found.exact(f"updates_per_epoch.{BATCH_SIZE}", updates, "updates")
    examples = sum(part.shape[1] for part in last_group)
    found.exact("last_group.examples", examples, "examples")
    found.exact("last_group.passes", len(last_group), "passes")
    keep_equality(found, gradient_errors, weight_errors)
    keep_costs(found, saved, seconds)
    keep_mistakes(found, powers, points)
    keep_errors(found, group_errors, undivided_length, undivided)
    keep_tokens(found, token_errors, token_weights)
    keep_own(found, own)
    return found.report()
