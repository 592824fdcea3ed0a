# %% [markdown]
# ## What is read from the runs
#
# A judgement holds when the whole interval is on its side. Margins were set
# beforehand, from trials with other seeds.

# %%
import numpy as np
from scipy import stats

from rare_classes_problem import *
from snippets.chance_without_class import chance_without_class
from snippets.keep_findings import keep_findings

# No difference that matters is less than this, in percentage points.
MARGIN_POINTS = 5.0
# Two gradients are equal if they differ by less than this share.
EQUAL_SHARE = 1e-4
# The same training in another order of arithmetic; of logits of about one.
LARGEST_LOGIT_ERROR = 1e-3
# Counts agree if they are off by less than so many standard deviations.
MOST_DEVIATIONS = 4
BUDGETS = {"epochs": ["one", "root", "tuned"], "updates": ["one", "tuned"]}
NUM_ATTACKS = NUM_TRAIN // ATTACK_IN


def keep_batches(found, empty_shares):
    """What a batch holds, as calculated and as counted in a loader."""
    chances, off = {}, []
    for size in COUNTED_SIZES:
        chance = chance_without_class(size, NUM_TRAIN, NUM_ATTACKS)
        chances[size], counted = chance, empty_shares[size]
        batches = COUNTED_EPOCHS * (NUM_TRAIN // size)
        more = batches * abs(np.mean(counted) - chance)
        # One batch too many or too few says nothing where none is expected.
        off.append(max(more - 1, 0) / np.sqrt(batches * chance * (1 - chance)))
        # Of a draw without replacement, relative to its mean.
        left = (NUM_TRAIN - size) / (NUM_TRAIN - 1)
        spread = np.sqrt((ATTACK_IN - 1) * left / size)
        found.exact(f"spread_of_attacks.{size}", spread, "times the mean")
    unit = "share of batches"
    found.points("chance_without", COUNTED_SIZES, chances.values(), unit)
    counted = [empty_shares[size] for size in COUNTED_SIZES]
    found.curve("counted_without", COUNTED_SIZES, counted, unit)
    key = "counts_off_by_at_most"
    found.exact(key, max(off), "standard deviations")
    found.judge("counts_agree_with_calculation", found[key] < MOST_DEVIATIONS)

    found.exact("attacks_per_epoch", NUM_ATTACKS, "attacks")
    for size in BATCH_SIZES:
        found.exact(f"chance_without.{size}", chances[size], unit)
    for size in (SMALLEST, LARGEST):
        found.exact(f"attacks_per_batch.{size}", size / ATTACK_IN, "attacks")
        updates = count_updates(NUM_TRAIN, size)
        found.exact(f"updates_per_epoch.{size}", updates, "updates")
        empty = chances[size] * (NUM_TRAIN // size)
        found.exact(f"empty_per_epoch.{size}", empty, "batches")
    most = found[f"chance_without.{SMALLEST}"] > 0.5
    found.judge("most_small_batches_hold_no_attack", most)
    hardly_ever = found[f"empty_per_epoch.{LARGEST}"] < 0.01
    found.judge("large_batches_hardly_ever_hold_no_attack", hardly_ever)
    spreads = [found[f"spread_of_attacks.{size}"] for size in COUNTED_SIZES]
    steadier = [more > less for more, less in zip(spreads, spreads[1:])]
    found.judge("larger_batches_hold_a_steadier_share", *steadier)
    # Above a size of 256 an epoch has hardly any batch without an attack.
    often = COUNTED_SIZES[:6]
    for size in often:
        found.mean(f"counted_without.{size}", empty_shares[size], unit)
    counts = [found[f"counted_without.{size}"] for size in often]
    rarer = [more > less for more, less in zip(counts, counts[1:])]
    found.judge("smaller_batches_more_often_hold_no_attack", *rarer)


def keep_checks(found, gradient_errors, logit_errors, chosen):
    """Whether sums, networks and rates are what they should be."""
    key = "gradient_sums_that_differ"
    wrong = [error > EQUAL_SHARE for error in gradient_errors.values()]
    found.exact(key, sum(wrong), "batch sizes")
    found.judge("batch_gradients_add_up", found[key] == 0)
    key = "logits_that_differ_from_a_plain_loop"
    wrong = logit_errors > LARGEST_LOGIT_ERROR
    found.exact(key, wrong.sum(), "logits")
    found.judge("together_is_as_alone", found[key] == 0)
    key, grids = "rates_on_the_edge", RATE_EXPONENTS.items()
    edges = [chosen[size] in (grid[0], grid[-1]) for size, grid in grids]
    found.exact(key, sum(edges), "rates")
    found.judge("rates_lie_inside_their_grids", found[key] == 0)
    few = "one choice; its neighbours in the grid are as near"
    for size in (SMALLEST, LARGEST):
        key, best = f"rate_factor.{size}", 2.0 ** chosen[size]
        interval = (best, best / 2, best * 2)
        unit = "times the base rate"
        found.interval(key, interval, TUNING_DATA_SETS, unit, few=few)


def keep_weighted_loss(found, weighted_loss):
    """What a weighted loss is divided by, and what comes of it."""
    logits, labels = np.array(LOSS_LOGITS), np.array(LOSS_LABELS)
    each = np.log1p(np.exp(-np.where(labels == 1, logits, -logits)))
    weights = np.array(CLASS_WEIGHTS)[labels]
    found.exact("weighted_loss", round(weighted_loss, 4), "nats")
    for name, divisor in (("weights", weights.sum()), ("number", len(each))):
        expected = (weights * each).sum() / divisor
        found.judge(
            f"weighted_loss_divides_by_the_{name}",
            found["weighted_loss"].between(expected - 1e-3, expected + 1e-3),
        )
    # What part of an epoch's weight the attacks get where each batch is
    # divided by its own weights; half of it is what was asked for.
    counts = np.arange(NUM_ATTACKS + 1)
    for size in (SMALLEST, LARGEST):
        likely = stats.hypergeom.pmf(counts, NUM_TRAIN, NUM_ATTACKS, size)
        of_attacks = counts * CLASS_WEIGHTS[1]
        of_benign = (size - counts).clip(0) * CLASS_WEIGHTS[0]
        share = (likely * of_attacks / (of_attacks + of_benign)).sum()
        key = f"attack_weight_share.{size}"
        found.exact(key, share, "share of the weight")
    found.judge(
        "small_batches_weaken_such_weights",
        found[f"attack_weight_share.{SMALLEST}"] < 0.25,
        found[f"attack_weight_share.{LARGEST}"] > 0.45,
    )


def keep_points(found, key, samples):
    """Keep a difference of shares in percentage points."""
    found.mean(key, 100 * samples, "percentage points")
    return found[key]


def keep_sizes(found, scores):
    """The largest size against the smallest, by budget and rate."""
    for budget, regimes in BUDGETS.items():
        for regime in regimes:
            keep_gap(found, scores, budget, regime)
    small = scores["epochs", "one", SMALLEST]
    large = scores["epochs", "one", LARGEST]
    key = f"flags_nothing.epochs.one.{LARGEST}"
    found.share(key, large["alarms"] == 0, "share of data sets")
    # By how much more the large size falls behind at one half.
    added = large["recall"] - large["recall_chosen"]
    added -= small["recall"] - small["recall_chosen"]
    added = keep_points(found, "added_by_one_half.epochs.one", added)
    found.judge("one_half_widens_the_gap", added < 0)

    metric, gains = "average_precision", {}
    for name, size in (("itself", LARGEST), ("small", SMALLEST)):
        gain = scores["updates", "tuned", LARGEST][metric]
        gain = gain - scores["epochs", "tuned", size][metric]
        key = f"longer_large_less_{name}.{metric}"
        gains[name] = keep_points(found, key, gain)
    found.judge("longer_training_raises_the_large", gains["itself"] > 0)
    level = gains["small"].within(MARGIN_POINTS)
    found.judge("longer_large_is_level_with_small", level)


def keep_gap(found, scores, budget, regime):
    """Largest less smallest, under one budget with one rule for the rate."""
    for metric in ("average_precision", "recall", "recall_chosen"):
        samples = [scores[budget, regime, size][metric] for size in BATCH_SIZES]
        name = f"{metric}.{budget}.{regime}"
        key = f"large_less_small.{name}"
        gap = keep_points(found, key, samples[-1] - samples[0])
        if metric == "recall_chosen":
            continue
        found.curve(name, BATCH_SIZES, samples, "share")
        if budget == "updates":
            found.judge(f"large_is_ahead.{name}", gap > 0)
        if budget == "epochs" or regime == "tuned":
            found.judge(f"large_is_behind.{name}", gap < 0)
        if regime == "one":
            found.mean(f"{name}.{SMALLEST}", samples[0], "share")
            found.mean(f"{name}.{LARGEST}", samples[-1], "share")


def keep_remedies(found, scores, size):
    """Class weights and stratified batches against plain training."""
    budget, less = COMPARED_AFTER[size], {}
    plain = scores[budget, "tuned", size]
    metrics = ["average_precision", "recall", "f1_chosen"]
    for way, which in (
        ("weighted", [*metrics, "precision"]),
        ("stratified", metrics),
    ):
        run = scores[budget, way, size]
        for metric in which:
            key = f"{way}_less_plain.{metric}.{size}"
            points = run[metric] - plain[metric]
            less[way, metric] = keep_points(found, key, points)
    # The plain network flags as many messages as the weighted one did.
    points = scores[budget, "weighted", size]["recall"]
    points = points - plain["recall_at_equal_alarms"]
    key = f"weighted_less_plain.recall_at_equal_alarms.{size}"
    at_equal_alarms = keep_points(found, key, points)

    raised = less["weighted", "recall"] > MARGIN_POINTS
    found.judge(f"weights_raise_recall.{size}", raised)
    lowered = less["weighted", "precision"] < -MARGIN_POINTS
    found.judge(f"weights_lower_precision.{size}", lowered)
    for name, points in (
        ("ranking", less["weighted", "average_precision"]),
        ("recall_at_equal_alarms", at_equal_alarms),
        ("f1", less["weighted", "f1_chosen"]),
    ):
        key = f"weights_do_not_raise_{name}.{size}"
        found.judge(key, points < MARGIN_POINTS)
    for metric in ("average_precision", "f1_chosen"):
        key = f"stratified_gains_nothing.{metric}.{size}"
        found.judge(key, less["stratified", metric] < MARGIN_POINTS)


def rare_classes_findings(
    empty_shares, gradient_errors, logit_errors, chosen, scores, weighted_loss
):
    """Values, judgements and series.

    empty_shares: {batch size: share of the batches without an attack, of
        each epoch}.
    gradient_errors: {batch size: share of the length of the gradient}.
    logit_errors: [examples], of a network that was trained among others,
        against the same one from a plain loop.
    chosen: {batch size: exponent of its rate}.
    scores: {(budget, regime, batch size): {metric: [data sets]}}.
    weighted_loss: of LOSS_LOGITS with CLASS_WEIGHTS, in nats.
    """
    found = keep_findings()
    keep_batches(found, empty_shares)
    keep_checks(found, gradient_errors, logit_errors, chosen)
    keep_weighted_loss(found, weighted_loss)
    keep_sizes(found, scores)
    for size in COMPARED_AFTER:
        keep_remedies(found, scores, size)
    for regime, metric in (
        ("tuned", "precision"),
        ("weighted", "precision"),
        ("weighted", "recall"),
    ):
        samples = scores["epochs", regime, SMALLEST][metric]
        found.mean(f"{metric}.epochs.{regime}.{SMALLEST}", samples, "share")
    return found.report()
