# %% [markdown]
# ## What is read from the times
#
# Times are compared within a repeat. Their median over the repeats is
# reported, which a few disturbed repeats do not move.

# %%
import numpy as np
from scipy import special

from inference_problem import *
from snippets.keep_findings import keep_findings

# Margins, set after a pilot, the last one after full runs. "Clearly" more is
# more than the first factor, "far" more than the second. A queue holds where
# the last quarter of the requests waits less than so many calls on average.
MARGIN_FACTOR = 1.5
FAR_FACTOR = 10.0
HOLD_CALLS = 25
# Equal to rounding is a difference below this part of the largest output.
ROUNDING = 1e-4
# Answers that change are none below this share, in percent.
NO_PERCENT = 0.1
# Sequences whose share of padding is reckoned, and in batches of which size.
NUM_SEQUENCES = 4096
PADDED_SIZES = [1, 4, 16, 64, 256]
SMALLEST, LARGEST = BATCH_SIZES[0], BATCH_SIZES[-1]


def keep_time(found, key, samples, unit="ratio"):
    found.median(key, samples, unit, timing=True)


def keep_calls(found, calls):
    """How long calls take, in calls with one example."""
    one = calls["call", SMALLEST]
    for size in BATCH_SIZES:
        seconds = calls["call", size]
        keep_time(found, f"call_time.p50.{size}", seconds / one, "calls")
        keep_time(found, f"gain.{size}", size * one / seconds)
    for size in USUAL_SIZES:
        longer = calls["usual", size] / calls["call", size]
        keep_time(found, f"usual_call.{size}", longer)
    found.judge(
        "batches_raise_throughput",
        found[f"gain.{MAX_BATCH_SIZE}"] > MARGIN_FACTOR,
    )
    found.judge("large_calls_are_slower", found[f"call_time.p50.{LARGEST}"] > 1)
    usual = found[f"usual_call.{SMALLEST}"]
    found.judge("usual_call_is_slower", usual > 1)
    found.judge("usual_call_is_far_slower", usual > FAR_FACTOR)


def random_padding(lengths, size):
    """Expected percent of padding where batches are drawn at random."""
    count, rank = len(lengths), np.arange(1, len(lengths) + 1)
    # The k-th shortest is the longest of a batch where the others of it are
    # among those before: C(k - 1, size - 1) of C(count, size) batches.
    ways = -np.inf * np.ones(count)
    enough = rank >= size
    ways[enough] = (
        special.gammaln(rank[enough])
        - special.gammaln(size)
        - special.gammaln(rank[enough] - size + 1)
    )
    chance = special.softmax(ways)
    return 100 * (1 - lengths.mean() / (chance @ lengths))


def sorted_padding(lengths, size):
    """Percent of padding where neighbours in length share a batch."""
    longest = lengths.reshape(-1, size).max(axis=1)
    return 100 * (1 - lengths.sum() / (size * longest.sum()))


def keep_padding(found, passes):
    """The share of padding, which is arithmetic, and what it costs."""
    lengths = lengths_of(NUM_SEQUENCES)
    for kind, padding in (
        ("random", random_padding),
        ("sorted", sorted_padding),
    ):
        for size in PADDED_SIZES:
            key = f"padding.{kind}.{size}"
            found.exact(key, padding(lengths, size), "percent")
    # Each length is rounded up to a power of two, whatever the batch.
    powers = 2 ** np.ceil(np.log2(lengths))
    padding = 100 * (1 - lengths.sum() / powers.sum())
    found.exact("padding.powers", padding, "percent")
    found.exact("length.mean", lengths.mean(), "tokens")
    found.exact("length.p99", np.percentile(lengths, 99), "tokens")
    # One at a time holds no padding.
    alone, *batches = PASSES
    for kind, size in batches:
        longer = passes[kind, size] / passes[alone]
        keep_time(found, f"pass_time.{kind}.{size}", longer)
    _, size = batches[-1]
    key = f"sorting_gain.{size}"
    keep_time(found, key, passes["random", size] / passes["sorted", size])
    found.judge("sorting_saves_time", found[key] > MARGIN_FACTOR)


def keep_differences(found, differences):
    """Whether a batch gives what its examples give alone."""
    for name, difference in differences.items():
        # The last digits depend on the machine.
        found.exact(f"difference.{name}", difference, "ratio", timing=True)
    for name in ("batch", "masked"):
        found.judge(f"equal.{name}", found[f"difference.{name}"] < ROUNDING)
    found.judge(
        "without_a_mask_padding_counts",
        found["difference.unmasked"] > ROUNDING,
    )


def keep_loads(found, latency, batch_size):
    """Latency and size of the batches, by policy and load."""
    for policy, loads in LOADS.items():
        for load in loads:
            case = f"{policy}.{load}"
            for percent in (50, 99):
                calls = np.percentile(latency[policy, load], percent, axis=1)
                keep_time(found, f"latency.p{percent}.{case}", calls, "calls")
            sizes = batch_size[policy, load]
            keep_time(found, f"batch_size.{case}", sizes, "examples")


def keep_queues(found, latency):
    """Whether the queue of a policy holds, or grows with the time."""
    # Mean latency of each quarter of the requests [repeats, 4].
    quarters = {
        case: np.reshape(calls, (len(calls), 4, -1)).mean(axis=2)
        for case, calls in latency.items()
    }
    first, *_, last = quarters["alone", 200].T
    keep_time(found, "growth.alone.200", last / first)
    for policy, load in (("greedy", 200), ("greedy", 400), ("waiting", 400)):
        key, last = f"{policy}.{load}", quarters[policy, load][:, 3]
        keep_time(found, f"last_quarter.{key}", last, "calls")
        found.judge(
            f"queue_holds.{key}", found[f"last_quarter.{key}"] < HOLD_CALLS
        )


def keep_policies(found, latency, processor, one_client):
    """What the policies gain and cost against each other."""

    def calls(percent, *case):
        return np.percentile(latency[case], percent, axis=1)

    for load, name, most in (
        (50, "greedy_keeps_the_tail", MARGIN_FACTOR),
        (80, "greedy_cuts_the_tail_early", 1),
        (200, "batches_cut_the_tail.greedy", 1 / MARGIN_FACTOR),
    ):
        key = f"against_alone.p99.greedy.{load}"
        tails = calls(99, "greedy", load) / calls(99, "alone", load)
        keep_time(found, key, tails)
        found.judge(name, found[key] < most)
    key = "against_greedy.p50.waiting.50"
    keep_time(found, key, calls(50, "waiting", 50) / calls(50, "greedy", 50))
    found.judge("waiting_adds_latency", found[key] > MARGIN_FACTOR)
    saved = np.array(processor["waiting", 80]) / processor["alone", 80]
    keep_time(found, "against_alone.processor.waiting.80", saved)
    seen = np.percentile(one_client, 99, axis=1)
    keep_time(found, "latency.p99.one_client", seen, "calls")
    key = "hidden_by_one_client"
    keep_time(found, key, calls(99, "alone", 200) / seen)
    found.judge("one_client_hides_the_queue", found[key] > MARGIN_FACTOR)


def keep_modes(found, accuracy, changed, lone_answers):
    """What training mode does to answers, over the seeds."""
    for name, percent in accuracy.items():
        found.mean(f"accuracy.{name}", percent, "percent")
    for name, percent in changed.items():
        found.mean(f"changed.{name}", percent, "percent")
    found.judge(
        "evaluation_needs_no_mates", found["changed.evaluation"] < NO_PERCENT
    )
    found.judge(
        "mates_change_answers_in_training_mode", found["changed.training"] > 0
    )
    # None where a single example raised.
    found.exact("lone_answers", lone_answers or 0, "answers")
    found.judge("lone_example_raises", found["lone_answers"] == 0)
    found.judge("lone_examples_get_one_answer", found["lone_answers"] == 1)


def inference_findings(calls, passes, differences, served, modes):
    """Values, judgements and series.

    calls: {("call" or "usual", batch size): seconds of each repeat}.
    passes: {(order, batch size): seconds of each repeat}.
    differences: {case: part of the largest output}.
    served: latencies in calls [repeats, requests], mean sizes of the batches
        and seconds of processor [repeats], each by (policy, load); then the
        latencies of one client [repeats, requests].
    modes: accuracy and changed, {case: percent [seeds]}, and the different
        answers that lone examples get.
    """
    found = keep_findings()
    latency, batch_size, processor, one_client = served
    keep_calls(found, calls)
    keep_padding(found, passes)
    keep_differences(found, differences)
    keep_loads(found, latency, batch_size)
    keep_queues(found, latency)
    keep_policies(found, latency, processor, one_client)
    keep_modes(found, *modes)
    return found.report()
