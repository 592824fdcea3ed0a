# %% [markdown]
# ## What is read from the runs
#
# The rate of a batch size is the one with which the seeds are soonest at the
# target on validation data; the updates reported are those on test data.

# %%
import numpy as np
from scipy.optimize import least_squares

from larger_models_problem import *
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval

FEW = "three seeds: each run takes minutes"
NOT_REACHED = "not every seed reached the target"
NOT_SETTLED = "in some runs so few batches did not settle it"


def best_rates(found, name, size):
    """Best rate of each seed: the lowest point of a parabola.

    It goes through the logarithms of the fewest updates and of those at the
    rates beside it, so that the answer is not bound to the grid.

    found: {step: {"validation": updates of all seeds}}.
    """
    rates = []
    for number in range(NUM_SEEDS):
        logs = {
            step: np.log(arrived["validation"][number])
            for step, arrived in found.items()
        }
        reached = [step for step in logs if np.isfinite(logs[step])]
        if not reached:
            return np.full(NUM_SEEDS, np.nan)
        best = min(reached, key=logs.get)
        left, right = (logs.get(best + side, np.nan) for side in (-1, 1))
        bend = left - 2 * logs[best] + right
        # Beside a run that was given up, the grid's own rate is kept.
        shift = (left - right) / (2 * bend) if bend > 0 else 0.0
        rates.append(rate_of(name, size, best + np.clip(shift, -1, 1)))
    return np.array(rates)


def slope(sizes, samples):
    """Exponent of the batch size, by least squares on logarithms [seeds]."""
    return np.polyfit(np.log(sizes), np.log(samples), 1)[0]


def hyperbola(updates):
    """Least updates and critical batch size, from those of one seed."""
    result = least_squares(
        lambda both: (
            both[0]
            + np.log1p(np.exp(both[1]) / np.array(BATCH_SIZES))
            - np.log(updates)
        ),
        np.log([updates[-1], REFERENCE_BATCH_SIZE]),
    )
    return np.exp(result.x)


def keep_ratio(found, key, samples, unit, reason=NOT_REACHED):
    """Keep the geometric mean over the seeds; what is not above 0 has none."""
    samples = np.where(np.asarray(samples) > 0, samples, np.nan)
    found.ratio(key, samples, unit, few=FEW, reason=reason)


def keep_network(found, runs, noise, name):
    """What is found of one network; how many of its rates are on an edge."""
    # [sizes, seeds].
    updates = np.full((len(BATCH_SIZES), NUM_SEEDS), np.nan)
    on_the_edge = len(BATCH_SIZES)
    for number, size in enumerate(BATCH_SIZES):
        step = best_step(runs[name, size])
        if step is not None:
            updates[number] = runs[name, size][step]["test"]
            steps = runs[name, size]
            on_the_edge -= min(steps) < step < max(steps)
    rates = np.array(
        [best_rates(runs[name, size], name, size) for size in BATCH_SIZES]
    )
    fits = np.full((2, NUM_SEEDS), np.nan)
    exponents = small = large = fits[0]
    if np.isfinite(updates).all():
        fits = np.array([hyperbola(row) for row in updates.T]).T
        small = slope(BATCH_SIZES[:2], updates[:2])
        large = slope(BATCH_SIZES[-2:], updates[-2:])
    if np.isfinite(rates).all():
        exponents = slope(BATCH_SIZES, rates)
    keep_ratio(found, f"floor.{name}", fits[0], "updates")
    keep_ratio(found, f"critical.{name}", fits[1], "examples")
    inside = found[f"critical.{name}"].between(BATCH_SIZES[0], BATCH_SIZES[-1])
    found.judge(f"critical_size_lies_inside.{name}", inside)
    for key, samples in (
        ("exponent", exponents),
        ("slope.small", small),
        ("slope.large", large),
    ):
        key = f"{key}.{name}"
        found.mean(key, samples, "1", few=FEW, reason=NOT_REACHED)
    for stage, samples in noise[name].items():
        key = f"noise_scale.{name}.{stage}"
        keep_ratio(found, key, samples, "examples", NOT_SETTLED)
    over = fits[1] / noise[name]["target"]
    key = f"critical_over_noise.{name}"
    keep_ratio(found, key, over, "ratio", NOT_SETTLED)

    epochs = updates * np.array(BATCH_SIZES)[:, None] / SPLITS[name][0]
    for kind, samples, unit in (
        ("updates", updates, "updates"),
        ("epochs", epochs, "epochs"),
        ("rate", rates, "rate"),
    ):
        rows = [
            mean_interval(row, ratio=True)
            if np.isfinite(row).all()
            else [None] * 3
            for row in samples
        ]
        y, low, high = zip(*rows)
        found.points(f"{kind}.{name}", BATCH_SIZES, y, unit, low, high)
    return on_the_edge


def keep_map(found, runs, name):
    """Updates to the target against the learning rate, for each size."""
    for size in BATCH_SIZES:
        steps = sorted(runs[name, size])
        rates = [rate_of(name, size, step) for step in steps]
        logs = [np.log(runs[name, size][step]["test"]) for step in steps]
        means = [np.exp(row.mean()) for row in logs]
        found.points(f"map.{name}.{size}", rates, means, "updates")


def larger_models_findings(runs, noise):
    """Values, judgements and series.

    runs: {(network, batch size): {step of the rate: {"validation" and "test":
        updates to the target, [seeds]; nan where it was not reached}}}.
    noise: {network: {"start" and "target": noise scale in examples, [seeds];
        nan where it was not settled}}.
    """
    found, on_the_edge = keep_findings(), 0
    for name in NETWORKS:
        on_the_edge += keep_network(found, runs, noise, name)
        keep_map(found, runs, name)
    found.exact("rates_on_the_edge", on_the_edge, "rates")
    found.judge("rates_lie_inside_their_grids", found["rates_on_the_edge"] == 0)
    return found.report()
