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


def keep_calls(found, call_seconds, usual_seconds):
    """How long calls take, in calls with one example."""
    typical = {size: np.median(s, axis=1) for size, s in call_seconds.items()}
    one = typical[SMALLEST]
    for size, seconds in typical.items():
        keep_time(found, f"call_time.p50.{size}", seconds / one, "calls")
        keep_time(found, f"gain.{size}", size * one / seconds)
    for size, seconds in usual_seconds.items():
        longer = np.median(seconds, axis=1) / typical[size]
        keep_time(found, f"usual_call.{size}", longer)
    for name in ("gain", "call_time.p50"):
        keys = [f"{name}.{size}" for size in BATCH_SIZES]
        found.line(name, BATCH_SIZES, keys)
    found.judge(
        "batches_raise_throughput",
        found[f"gain.{MAX_BATCH_SIZE}"] > MARGIN_FACTOR,
    )
    found.judge("large_calls_are_slower", found[f"call_time.p50.{LARGEST}"] > 1)
    usual = found[f"usual_call.{SMALLEST}"]
    found.judge("usual_call_is_slower", usual > 1)
    found.judge("usual_call_is_far_slower", usual > FAR_FACTOR)


def keep_tail(found, seconds):
    """The p99 of all calls with one example, in medians.

    The interval is by the bootstrap over the repeats.
    seconds: [repeats, calls].
    """
    random = np.random.default_rng(FIRST_SEED)
    drawn = random.integers(NUM_REPEATS, size=(1000, NUM_REPEATS))
    many = np.array(seconds)[drawn].reshape(1000, -1)
    tails = np.percentile(many, 99, axis=1) / np.median(many, axis=1)
    tail = np.percentile(seconds, 99) / np.median(seconds)
    low, high = np.quantile(tails, [0.025, 0.975])
    ends = tail, min(low, tail), max(high, tail)
    key = f"call_time.p99.{SMALLEST}"
    found.interval(key, ends, NUM_REPEATS, "medians", timing=True)


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


def keep_padding(found, pass_seconds):
    """The share of padding, which is arithmetic, and what it costs."""
    lengths = lengths_of(NUM_SEQUENCES)
    for kind, padding in (
        ("random", random_padding),
        ("sorted", sorted_padding),
    ):
        keys = [f"padding.{kind}.{size}" for size in PADDED_SIZES]
        for key, size in zip(keys, PADDED_SIZES):
            found.exact(key, padding(lengths, size), "percent")
        found.line(f"padding.{kind}", PADDED_SIZES, keys)
    # Each length is rounded up to a power of two, whatever the batch.
    powers = 2 ** np.ceil(np.log2(lengths))
    padding = 100 * (1 - lengths.sum() / powers.sum())
    found.exact("padding.powers", padding, "percent")
    found.exact("length.mean", lengths.mean(), "tokens")
    found.exact("length.p99", np.percentile(lengths, 99), "tokens")
    # One at a time holds no padding.
    alone, *batches = PASSES
    seconds = {each: np.array(taken) for each, taken in pass_seconds.items()}
    for kind, size in batches:
        longer = seconds[kind, size] / seconds[alone]
        keep_time(found, f"pass_time.{kind}.{size}", longer)
    _, size = batches[-1]
    key = f"sorting_gain.{size}"
    keep_time(found, key, seconds["random", size] / seconds["sorted", size])
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


class Served:
    """What the server did by (policy, load): an array over the repeats."""

    def __init__(self, served):
        self.served = served

    def percentile(self, percent, *case):
        return np.array(
            [
                np.percentile(latency, percent)
                for latency, _, _ in self.served[case]
            ]
        )

    def quarter(self, number, *case):
        """Mean latency of a quarter of the requests, 0 for the first."""
        latencies = np.array([latency for latency, _, _ in self.served[case]])
        quarters = latencies.reshape(len(latencies), 4, -1)
        return quarters[:, number].mean(axis=1)

    def batch_size(self, *case):
        return np.array([size for _, size, _ in self.served[case]])

    def processor(self, *case):
        return np.array([used for _, _, used in self.served[case]])


def keep_loads(found, served):
    """Latency and size of the batches, by policy and load."""
    for policy in POLICIES:
        loads = ALONE_LOADS if policy == "alone" else LOADS
        for load in loads:
            case = policy, load
            for name, samples, unit in (
                ("latency.p50", served.percentile(50, *case), "calls"),
                ("latency.p99", served.percentile(99, *case), "calls"),
                ("batch_size", served.batch_size(*case), "examples"),
            ):
                keep_time(found, f"{name}.{policy}.{load}", samples, unit)
        for name in ("latency.p99", "batch_size"):
            keys = [f"{name}.{policy}.{load}" for load in loads]
            found.line(f"{name}.{policy}", loads, keys)


def keep_queues(found, served, one_client):
    """What the policies gain and cost against each other."""
    growth = served.quarter(3, "alone", 200) / served.quarter(0, "alone", 200)
    keep_time(found, "growth.alone.200", growth)
    for policy, load in (("greedy", 200), ("greedy", 400), ("waiting", 400)):
        key, last = f"{policy}.{load}", served.quarter(3, policy, load)
        keep_time(found, f"last_quarter.{key}", last, "calls")
        found.judge(
            f"queue_holds.{key}", found[f"last_quarter.{key}"] < HOLD_CALLS
        )
    for load, name, most in (
        (50, "greedy_keeps_the_tail", MARGIN_FACTOR),
        (80, "greedy_cuts_the_tail_early", 1),
        (200, "batches_cut_the_tail.greedy", 1 / MARGIN_FACTOR),
    ):
        key = f"against_alone.p99.greedy.{load}"
        alone = served.percentile(99, "alone", load)
        keep_time(found, key, served.percentile(99, "greedy", load) / alone)
        found.judge(name, found[key] < most)
    longer = served.percentile(50, "waiting", 50)
    longer = longer / served.percentile(50, "greedy", 50)
    keep_time(found, "against_greedy.p50.waiting.50", longer)
    found.judge(
        "waiting_adds_latency",
        found["against_greedy.p50.waiting.50"] > MARGIN_FACTOR,
    )
    saved = served.processor("waiting", 80) / served.processor("alone", 80)
    keep_time(found, "against_alone.processor.waiting.80", saved)
    seen = np.percentile(one_client, 99, axis=1)
    keep_time(found, "latency.p99.one_client", seen, "calls")
    hidden = served.percentile(99, "alone", 200) / seen
    keep_time(found, "hidden_by_one_client", hidden)
    found.judge(
        "one_client_hides_the_queue",
        found["hidden_by_one_client"] > MARGIN_FACTOR,
    )


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


def inference_findings(
    call_seconds,
    usual_seconds,
    pass_seconds,
    differences,
    served,
    one_client,
    modes,
):
    """Values, judgements and series.

    call_seconds, usual_seconds: {batch size: [repeats, calls]}.
    pass_seconds: {(order, batch size): seconds of each repeat}.
    differences: {case: part of the largest output}.
    served: {(policy, load): [(latencies, batch size, seconds of processor)]}.
    one_client: latencies [repeats, requests].
    modes: accuracy and changed, {case: percent [seeds]}, and the different
        answers that lone examples get.
    """
    found = keep_findings()
    keep_calls(found, call_seconds, usual_seconds)
    keep_tail(found, call_seconds[SMALLEST])
    keep_padding(found, pass_seconds)
    keep_differences(found, differences)
    keep_loads(found, Served(served))
    keep_queues(found, Served(served), one_client)
    keep_modes(found, *modes)
    return found.report()
