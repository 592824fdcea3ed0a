# %% [markdown]
# ## What is read from the runs
#
# A rate is chosen by the mean validation accuracy of the seeds and reported
# on test data. Differences are paired by seed, which has its own data.

# %%

from batch_normalisation_problem import *
from snippets.keep_findings import keep_findings

POINTS = "percentage points"
BUDGETS = ("epochs", "updates", "seconds")
# A relative difference below this is rounding, in float64.
ROUNDING = 1e-10
# Only a larger difference is called one, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0


def best(run):
    return run["validation", "running"].mean(axis=1).argmax()


def accuracy_of(run, statistics="running"):
    """Percent of the test examples at the chosen rate, for each seed."""
    return 100 * run["test", statistics][best(run)]


def keep_layer(found, alone, kept, signs, accumulated):
    """What normalisation does before any training."""
    refused, gives_beta = alone
    found.exact("refused_batches_of_one", int(refused), "batches")
    found.judge("one_is_refused", found["refused_batches_of_one"] == 1)
    found.exact("batches_of_one_that_give_beta", int(gives_beta), "batches")
    found.judge(
        "one_gives_only_beta", found["batches_of_one_that_give_beta"] == 1
    )
    found.exact("kept_variance.2", kept, "ratio")
    found.judge("kept_variance_is_corrected", found["kept_variance.2"] > 1.5)
    for size in GHOST_SIZES[:2]:
        found.mean(f"share_of_signs.{size}", 100 * signs[size], "percent")
    for (kind, size), differences in accumulated.items():
        if kind == "batch":
            found.ratio(f"accumulation.{size}", differences)
        equal = int((differences < ROUNDING).sum())
        found.exact(f"accumulation_equal.{kind}.{size}", equal, "seeds")
    for kind in KINDS:
        found.judge(
            f"accumulation_is_exact.{kind}",
            *(
                found[f"accumulation_equal.{kind}.{size}"] == NUM_SEEDS
                for size in MICRO_BATCH_SIZES
            ),
        )


def keep_ghosts(found, runs):
    """The gradient's batch is fixed; the statistics' is the ghost size."""
    whole = accuracy_of(runs["batch", GRADIENT_BATCH_SIZE])
    layer = accuracy_of(runs["layer", GRADIENT_BATCH_SIZE])
    for (kind, size), run in runs.items():
        name = size if kind == "batch" else kind
        if name not in GHOST_SIZES[1:-1]:
            found.mean(f"ghost.accuracy.{name}", accuracy_of(run), "percent")
        if kind == "batch" and size != GRADIENT_BATCH_SIZE:
            lost = whole - accuracy_of(run)
            found.mean(f"ghost.lost.{size}", lost, POINTS)
    run = runs["batch", 2]
    found.mean("ghost.behind_layer.2", layer - accuracy_of(run), POINTS)
    for size in GHOST_SIZES[:2]:
        run = runs["batch", size]
        repaired = accuracy_of(run, "population") - accuracy_of(run)
        found.mean(f"ghost.repaired.{size}", repaired, POINTS)
    found.judge("ghosts_of_two_lose", found["ghost.lost.2"] > MARGIN_POINTS)
    found.judge(
        "ghosts_of_two_are_behind_layer",
        found["ghost.behind_layer.2"] > MARGIN_POINTS,
    )
    if not SHORT:
        run = runs["batch", 4]
        below = accuracy_of(run) - accuracy_of(run, "training")
        found.mean("ghost.training_below.4", below, POINTS)
        found.judge(
            "training_mode_is_worse_at_four",
            found["ghost.training_below.4"] > MARGIN_POINTS,
        )
        found.judge(
            "ghosts_of_eight_lose", found["ghost.lost.8"] > MARGIN_POINTS
        )
    for statistics, name in (
        ("running", "accuracy"),
        ("population", "population"),
        ("training", "training"),
    ):
        samples = [
            accuracy_of(runs["batch", size], statistics) for size in GHOST_SIZES
        ]
        found.curve(f"ghost.{name}", GHOST_SIZES, samples, "percent")
    for kind in KINDS[1:]:
        # Without statistics of the batch, no ghost size can change them.
        samples = [accuracy_of(runs[kind, GRADIENT_BATCH_SIZE])]
        samples *= len(GHOST_SIZES)
        found.curve(f"ghost.{kind}", GHOST_SIZES, samples, "percent")


def keep_sizes(found, runs):
    """Gradient and statistics see the same batch."""
    for budget in BUDGETS:
        for kind in KINDS:
            samples = [
                accuracy_of(runs[budget, kind, size]) for size in BATCH_SIZES
            ]
            found.curve(f"{budget}.{kind}", BATCH_SIZES, samples, "percent")

    def keep_behind(other, budget, size):
        ahead = accuracy_of(runs[budget, other, size])
        ahead = ahead - accuracy_of(runs[budget, "batch", size])
        key = f"behind_{other}.{budget}.{size}"
        found.mean(key, ahead, POINTS, timing=budget == "seconds")
        return found[key]

    smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
    for other in KINDS[1:]:
        behind = keep_behind(other, "epochs", GRADIENT_BATCH_SIZE)
        found.judge(f"batch_leads_{other}_at_128", behind < -MARGIN_POINTS)
    for other in ("layer", "group"):
        behind = keep_behind(other, "epochs", smallest)
        if other == "group":
            found.judge("two_are_behind_group.epochs", behind > MARGIN_POINTS)
        behind = keep_behind(other, "updates", smallest)
        found.judge(f"two_are_behind_{other}.updates", behind > MARGIN_POINTS)
        if not SHORT:
            keep_behind(other, "epochs", 8)
    behind = keep_behind("layer", "seconds", smallest)
    found.judge("two_are_behind_layer.seconds", behind > MARGIN_POINTS)
    for size in (GRADIENT_BATCH_SIZE, largest):
        run = runs["epochs", "batch", size]
        repaired = accuracy_of(run, "population") - accuracy_of(run)
        if f"repaired.epochs.{size}" not in found.values:
            found.mean(f"repaired.epochs.{size}", repaired, POINTS)
    found.judge(
        "population_repairs_few_updates",
        found[f"repaired.epochs.{largest}"] > MARGIN_POINTS,
    )


def keep_edges(found, ghost_runs, runs):
    """How many of the chosen rates lie at an end of their grid."""
    chosen = [
        (best(run), len(GHOST_RATE_POWERS[size]))
        for (_, size), run in ghost_runs.items()
    ] + [
        (best(run), len(RATE_POWERS[size])) for (*_, size), run in runs.items()
    ]
    on_the_edge = sum(index in (0, count - 1) for index, count in chosen)
    found.exact("rates_on_the_edge", int(on_the_edge), "rates")
    found.judge("rates_lie_inside_their_grids", found["rates_on_the_edge"] == 0)


def batch_normalisation_findings(
    alone,
    kept,
    signs,
    accumulated,
    updates_per_epoch,
    update_seconds,
    ghost_runs,
    runs,
):
    """Values, judgements and series.

    alone: whether a batch of one is refused, and whether it gives only beta.
    kept: the variance that is kept over that of a batch of two.
    signs: {ghost size: share of values near plus or minus one, of each seed}.
    accumulated: {(kind, micro-batch size): relative difference of each seed}.
    updates_per_epoch: {size: number}.
    update_seconds: {size: processor seconds of an update, of each repeat}.
    ghost_runs, runs: as `train_all` returns them.
    """
    found = keep_findings()
    keep_layer(found, alone, kept, signs, accumulated)
    largest = BATCH_SIZES[-1]
    found.exact(
        f"updates_per_epoch.{largest}", updates_per_epoch[largest], "updates"
    )
    longer = update_seconds[2] / update_seconds[GRADIENT_BATCH_SIZE]
    found.ratio("update_time.2", longer, timing=True)
    keep_ghosts(found, ghost_runs)
    keep_sizes(found, runs)
    keep_edges(found, ghost_runs, runs)
    return found.report()
