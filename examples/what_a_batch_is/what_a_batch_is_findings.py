# %% [markdown]
# ## What is read from the runs
#
# The rate of a size is the one that brings the validation data to the target
# in the fewest updates; what is reported comes from the test data. The rate
# of an order is the one with the lowest validation loss at the end. A
# judgement holds when the whole interval is on its side.

# %%
import matplotlib.pyplot as plt

from snippets.count_updates import count_updates
from snippets.keep_findings import keep_findings
from snippets.mean_interval import mean_interval
from what_a_batch_is_problem import *

# Share of the examples; the first look that reaches it counts.
TARGET_ACCURACY = 0.9
# For the noise from epoch to epoch; far from where training diverges.
ORDER_LEARNING_RATE = 0.2
ORDER_LAST_EPOCHS = 2 if SHORT else 10
# "No difference" is less than this, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0
# "Less noisy" is by more than this factor. Set beforehand.
MARGIN_FACTOR = 2.0
NOT_REACHED = "not every run reached the target accuracy"
VALIDATION, TEST = 0, 1
SINGLE, FULL = BATCH_SIZES[0], BATCH_SIZES[-1]


def case_key(examples, batch_size, num_epochs):
    key = f"{examples}.{batch_size}"
    return key if num_epochs == 1 else f"{key}.{num_epochs}_epochs"


def keep_counts(found, counts):
    """Updates as they were counted, and as the optimizer counts them."""
    agree = []
    for case in COUNTED:
        seen, key = counts["kept", *case], case_key(*case)
        found.exact(f"updates.kept.{key}", seen["updates"], "updates")
        # No text and no table speaks of these two.
        if case[:2] not in ((10000, 32), (10000, 64)):
            last = seen["last_batch_size"]
            found.exact(f"last_batch_size.{key}", last, "examples")
        agree.append(found[f"updates.kept.{key}"] == count_updates(*case))
    for case in DROPPED:
        seen, key = counts["dropped", *case], case_key(*case)
        found.exact(f"updates.dropped.{key}", seen["updates"], "updates")
        number = count_updates(*case, drop_last=True)
        agree.append(found[f"updates.dropped.{key}"] == number)
    found.judge("arithmetic_agrees", *agree)
    examples_seen = counts["dropped", *DROPPED[0]]["examples_seen"]
    key = f"examples_seen.dropped.{case_key(*DROPPED[0])}"
    found.exact(key, examples_seen, "examples")

    # A batch larger than the data, left out: nothing is trained.
    tiny, key = counts["dropped", *DROPPED[-1]], case_key(*DROPPED[-1])
    found.exact(f"own_count.dropped.{key}", tiny["own_count"], "updates")
    found.exact(f"warnings.dropped.{key}", tiny["warnings"], "warnings")
    found.exact(f"weight_change.dropped.{key}", tiny["weight_change"], "weight")
    updates = found[f"updates.dropped.{key}"]
    own_count = found[f"own_count.dropped.{key}"]
    warnings_given = found[f"warnings.dropped.{key}"]
    unchanged = found[f"weight_change.dropped.{key}"] == 0
    found.judge("too_large_a_batch_trains_nothing", updates == 0, unchanged)
    found.judge("training_on_nothing_is_warned_about", warnings_given > 0)
    found.judge("training_on_nothing_is_silent", warnings_given == 0)
    found.judge("own_count_is_too_high_on_no_data", own_count > updates)
    found.judge("own_count_is_right_on_no_data", own_count == updates)

    streamed = counts["streamed", *STREAMED]
    found.exact("updates.unknown_length", streamed["updates"], "updates")
    found.exact("own_count.unknown_length", streamed["own_count"], "updates")
    updates = found["updates.unknown_length"]
    own_count = found["own_count.unknown_length"]
    for word, truth in {
        "right": own_count == updates,
        "too_high": own_count > updates,
    }.items():
        found.judge(f"own_count_is_{word}_without_a_known_length", truth)


def keep_orders(found, orders):
    """In how many orders the examples come."""
    complete = 0
    for name, epochs in orders.items():
        different = len({tuple(order) for order in epochs})
        found.exact(f"distinct_orders.{name}", different, "orders")
        complete += sum(
            sorted(order) == list(range(ORDER_EXAMPLES)) for order in epochs
        )
    found.exact("epochs_with_each_example_once", complete, "epochs")
    found.judge(
        "each_example_is_seen_once",
        found["epochs_with_each_example_once"] == len(orders) * ORDER_EPOCHS,
    )
    seeded = found["distinct_orders.seeded"]
    found.judge("a_seed_fixes_the_order", seeded == 1)
    found.judge("a_seed_leaves_the_order_free", seeded == ORDER_EPOCHS)
    found.judge(
        "own_shuffle_changes_the_order",
        found["distinct_orders.own_shuffle"] == ORDER_EPOCHS,
    )


def keep_means(found, partial_weights, losses, distances):
    """What the mean over a batch does to weights, losses and gradients."""
    # Rounded, so that the last bits of float64 do not count as a difference.
    weight = round(float(partial_weights.mean()), 9)
    found.exact("partial_batch_weight", weight, "ratio")
    batches, true = np.array(losses["batches"]), np.array(losses["true"])
    found.exact("left_over_share", 1 / batches.shape[1], "share")
    for name, each in {
        "usual": losses["usual"],
        "mean_of_batches": batches.mean(axis=1),
        "last_batch": batches[:, -1],
    }.items():
        error = np.abs(each - true) / true
        found.mean(f"epoch_loss_error.{name}", error, "share")
    usual = found["epoch_loss_error.usual"]
    found.judge("usual_loss_is_the_mean_over_examples", usual < 0.0001)
    found.judge("usual_loss_is_off_by_a_percent", usual > 0.01)

    for name, distance in zip(("reordered", "disjoint"), distances):
        found.mean(f"gradient_distance.{name}", distance, "share")
    found.judge(
        "full_gradient_is_exact_for_its_data",
        found["gradient_distance.reordered"] < 1e-11,
    )
    found.judge(
        "full_gradient_depends_on_the_examples",
        found["gradient_distance.disjoint"] > 0.1,
    )


def updates_to_target(size, accuracy, part):
    """[rates, seeds]: the first look at the target; nan where there is none."""
    reached = accuracy[..., part] >= TARGET_ACCURACY
    first = looks_at(size)[reached.argmax(axis=0)]
    return np.where(reached.any(axis=0), first, np.nan)


def keep_descent(found, sizes, updates_per_epoch, epoch_seconds):
    """Updates, epochs and seconds to the target; the number of edge rates."""
    updates, on_the_edge = {}, 0
    for size, rates in RATES.items():
        accuracy, per_epoch = sizes[size]["accuracy"], updates_per_epoch[size]
        needed = np.log(updates_to_target(size, accuracy, VALIDATION))
        best = int(np.nan_to_num(needed, nan=np.inf).mean(axis=1).argmin())
        on_the_edge += best in (0, len(rates) - 1)
        found.exact(f"chosen_rate.{size}", rates[best], "ratio")
        updates[size] = updates_to_target(size, accuracy, TEST)[best]
        for budget, each in {
            "updates": updates[size],
            "epochs": updates[size] / per_epoch,
        }.items():
            key = f"{budget}_to_target.{size}"
            found.mean(key, each, budget, reason=NOT_REACHED)
        looks, seconds = looks_at(size), epoch_seconds[size].mean()
        for budget, x_values in {
            "epoch": looks / per_epoch,
            "update": looks,
            "second": looks / per_epoch * seconds,
        }.items():
            shown = accuracy[:, best, :, TEST]
            found.curve(
                f"accuracy_by_{budget}.{size}", x_values, shown, "share"
            )

    def update_seconds(size):
        return epoch_seconds[size] / updates_per_epoch[size]

    for size in (SINGLE, FULL):
        ratio = updates[size] / updates[REFERENCE_BATCH_SIZE]
        found.ratio(f"updates_ratio.{size}", ratio, reason=NOT_REACHED)
        epochs = (
            ratio
            * updates_per_epoch[REFERENCE_BATCH_SIZE]
            / updates_per_epoch[size]
        )
        found.ratio(f"epochs_ratio.{size}", epochs, reason=NOT_REACHED)
        # Updates vary with the seed and seconds with the machine: their
        # intervals are multiplied end by end, which is wider than need be.
        key = f"seconds_ratio.{size}"
        if np.isnan(ratio).any():
            found.exact(key, None, "ratio", timing=True, reason=NOT_REACHED)
            continue
        longer = update_seconds(size) / update_seconds(REFERENCE_BATCH_SIZE)
        product = np.array(mean_interval(ratio, ratio=True))
        product *= mean_interval(longer, ratio=True)
        count = min(NUM_SEEDS, TIMED_REPEATS)
        found.interval(key, product, count, "ratio", timing=True)
    for size in (REFERENCE_BATCH_SIZE, FULL):
        longer = update_seconds(size) / update_seconds(SINGLE)
        found.ratio(f"update_seconds_ratio.{size}", longer, timing=True)
    return on_the_edge


def judge_descent(found):
    def ratio(budget, size):
        return found[f"{budget}_ratio.{size}"]

    found.judge(
        "single_needs_fewest_epochs",
        ratio("epochs", SINGLE) < 1,
        ratio("epochs", FULL) > 1,
    )
    found.judge(
        "full_needs_fewest_updates",
        ratio("updates", FULL) < 1,
        ratio("updates", SINGLE) > 1,
    )
    found.judge(
        "mini_batch_needs_fewest_seconds",
        ratio("seconds", FULL) > 1,
        ratio("seconds", SINGLE) > 1,
    )
    found.judge(
        "single_examples_need_a_smaller_rate",
        found[f"chosen_rate.{SINGLE}"]
        < found[f"chosen_rate.{REFERENCE_BATCH_SIZE}"],
    )


def keep_order_study(found, orders):
    """Accuracy and noise by the order; the number of edge rates."""
    best, on_the_edge = {}, 0
    epochs = np.arange(1, ORDER_STUDY_EPOCHS + 1)
    for rule, rates in ORDER_RATES.items():
        at_end = orders[rule]["loss"][-1, :, :, VALIDATION].mean(axis=1)
        index = int(np.nanargmin(at_end))
        best[rule] = rates[index]
        if len(rates) > 1:
            on_the_edge += index in (0, len(rates) - 1)
            shown = orders[rule]["accuracy"][:, index, :, TEST]
            found.curve(f"accuracy_by_order.{rule}", epochs, shown, "share")

    def at_rate(rule, rate, what):
        """[looks, seeds] of the test data."""
        return orders[rule][what][:, ORDER_RATES[rule].index(rate), :, TEST]

    def final(rule, rate=None):
        return at_rate(rule, rate or best[rule], "accuracy")[-1]

    def noise(rule):
        """Mean change of the loss from one epoch to the next, per seed."""
        loss = at_rate(rule, ORDER_LEARNING_RATE, "loss")
        loss = loss[-ORDER_LAST_EPOCHS - 1 :]
        return np.abs(np.diff(loss, axis=0)).mean(axis=0)

    for rule in ("reshuffled", "fixed", "sorted"):
        found.mean(f"order_accuracy.{rule}", final(rule), "share")
    same_rate = final("sorted", best["reshuffled"])
    found.mean("order_accuracy.same_rate.sorted", same_rate, "share")
    for name, rule in {
        "fixed": "fixed",
        "sorted": "sorted",
        "whole": "reshuffled_whole",
    }.items():
        gap = 100 * (final(rule) - final("reshuffled"))
        found.mean(f"order_gap.{name}", gap, "percentage points")
    for key, one, other in (
        ("order_noise_ratio.all", "reshuffled", "fixed"),
        ("order_noise_ratio.whole", "reshuffled_whole", "fixed_whole"),
        ("partial_noise_ratio", "reshuffled", "reshuffled_whole"),
    ):
        found.ratio(key, noise(one) / noise(other))
    # One run, whose loss shows the noise that a mean over seeds would hide.
    for rule in ("reshuffled", "reshuffled_whole", "fixed"):
        loss = at_rate(rule, ORDER_LEARNING_RATE, "loss")[:, 0]
        found.points(f"one_run_by_order.{rule}", epochs, loss, "loss")

    gap, noisier = found["order_gap.fixed"], found["order_noise_ratio.all"]
    found.judge("fixed_order_is_level", gap.within(MARGIN_POINTS))
    found.judge(
        "dropping_is_level", found["order_gap.whole"].within(MARGIN_POINTS)
    )
    found.judge(
        "sorted_order_is_behind", found["order_gap.sorted"] < -MARGIN_POINTS
    )
    found.judge("partial_batch_adds_noise", found["partial_noise_ratio"] > 1)
    found.judge(
        "fixed_order_hides_the_noise",
        noisier > MARGIN_FACTOR,
        found["order_noise_ratio.whole"] > MARGIN_FACTOR,
    )
    return on_the_edge


def plot_descent(found):
    """Mean test accuracy of each size against updates."""
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for size in BATCH_SIZES:
        line = found.series[f"accuracy_by_update.{size}"]
        axis.fill_between(line["x"], line["low"], line["high"], alpha=0.3)
        axis.plot(line["x"], line["y"], label=size)
    axis.set(xscale="log", xlabel="updates", ylabel="test accuracy")
    axis.legend(title="batch size")
    plt.show()


def what_a_batch_is_findings(
    orders, counts, partial_weights, losses, distances, timed, runs
):
    """Values, judgements and series, and a picture of three descents.

    orders: {how shuffled: [epochs, examples]}, numbers of the examples.
    counts: {(how, examples, batch size, epochs): {what: number}}; how is
        kept, dropped (the last batch) or streamed.
    partial_weights: how much each example of a partial batch counts.
    losses: {"true", "usual": [orders], "batches": [orders, batches]}.
    distances: [2, seeds], of reordered and of other data's gradients.
    timed: {batch size: updates of an epoch}, {batch size: [repeats]}, seconds.
    runs: {batch size: ...} and {order: ...} of {"loss", "accuracy"},
        [looks, rates, seeds, validation and test].
    """
    found, (sizes, order_study) = keep_findings(), runs
    keep_counts(found, counts)
    keep_orders(found, orders)
    keep_means(found, partial_weights, losses, distances)
    for size in (SINGLE, REFERENCE_BATCH_SIZE):
        found.exact(f"updates_per_epoch.{size}", timed[0][size], "updates")
    on_the_edge = keep_descent(found, sizes, *timed)
    judge_descent(found)
    on_the_edge += keep_order_study(found, order_study)
    found.exact("best_rates_on_the_edge", on_the_edge, "rates")
    found.judge(
        "best_rates_lie_inside_the_grid", found["best_rates_on_the_edge"] == 0
    )
    plot_descent(found)
    return found.report()
