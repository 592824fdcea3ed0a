"""What a judgement rests on is what its comparison read."""

import json

import numpy as np
import pytest
from scipy import stats

from snippets.keep_findings import Findings, keep_findings
from snippets.mean_interval import mean_interval


@pytest.fixture
def found() -> Findings:
    found = keep_findings()
    found.interval("high", (2.0, 1.5, 2.5), 10, "ratio")
    found.interval("low", (1.0, 0.5, 1.4), 10, "ratio")
    found.interval("wide", (1.0, -1.0, 3.0), 10, "ratio")
    found.exact("three", 3, "updates")
    found.exact("none", None, "updates", reason="not reached")
    return found


def test_a_value_is_above_what_its_whole_interval_is_above(found):
    assert (found["high"] > 1.4).holds
    assert not (found["high"] > 1.5).holds
    assert (found["high"] >= 1.5).holds
    assert (found["low"] < 1.5).holds
    assert not (found["low"] < 1.4).holds
    assert (found["low"] <= 1.4).holds
    assert (1 < found["high"]).holds


def test_two_values_are_compared_by_their_nearer_ends(found):
    assert (found["high"] > found["low"]).holds
    assert (found["low"] < found["high"]).holds
    assert not (found["high"] > found["wide"]).holds
    assert not (found["high"] < found["wide"]).holds


def test_an_exact_value_is_its_own_interval(found):
    assert (found["three"] == 3).holds
    assert not (found["three"] == 4).holds
    assert (found["three"] > 2).holds
    assert not (found["three"] > 3).holds
    assert not (found["high"] == 2).holds


def test_what_was_not_reached_shows_nothing(found):
    none = found["none"]
    for truth in (none > -1e9, none < 1e9, none == 0, none.within(1e9)):
        assert not truth.holds
    assert not (found["high"] > none).holds


def test_within_and_between_ask_for_the_whole_interval(found):
    assert found["low"].within(1.5).holds
    assert not found["low"].within(1.4).holds
    assert found["high"].between(1.4, 2.6).holds
    assert not found["high"].between(1.5, 2.6).holds


def test_grounds_are_what_the_comparisons_read_each_once(found):
    found.judge(
        "all",
        (found["high"] > found["low"]) & (found["high"] > 1),
        ~(found["wide"] > 0) | (found["three"] == 4),
    )
    assert found.judgements["all"] == {
        "holds": True,
        "because": ["high", "low", "wide", "three"],
    }
    found.judge("one_fails", found["high"] > 1, found["wide"] > 0)
    assert not found.judgements["one_fails"]["holds"]
    found.judge("negated", ~(found["high"] > 1))
    assert not found.judgements["negated"]["holds"]


def test_python_words_that_would_lose_grounds_are_refused(found):
    with pytest.raises(TypeError, match="combine comparisons by &"):
        found["high"] > 1 and found["low"] > 1
    with pytest.raises(TypeError, match="combine comparisons by &"):
        all([found["high"] > 1])
    with pytest.raises(ValueError, match="rests on no value"):
        found.judge("nothing")


def test_a_key_is_kept_once(found):
    with pytest.raises(KeyError, match="kept twice"):
        found.exact("three", 3, "updates")
    found.judge("some", found["three"] == 3)
    with pytest.raises(KeyError, match="judged twice"):
        found.judge("some", found["three"] == 3)


def test_means_and_ratios_have_students_interval(found):
    samples = [1.0, 2.0, 4.0]
    found.mean("mean", samples, "points", few="shown")
    found.ratio("ratio", samples, timing=True)
    mean, *ends = mean_interval(samples)
    assert found.values["mean"] == {
        "value": mean, "ci": ends, "n": 3, "unit": "points",
        "because": "shown",
    }  # fmt: skip
    assert found.values["ratio"]["value"] == pytest.approx(2)
    assert found.values["ratio"]["timing"] is True


def test_a_median_has_two_samples_as_its_ends(found):
    samples = np.random.default_rng(0).permutation(np.arange(1.0, 21))
    found.median("median", samples, "ms")
    entry = found.values["median"]
    assert entry["value"] == 10.5
    low, high = entry["ci"]
    assert {low, high} <= set(samples) and low + high == 21
    # The interval covers the median in at least 95 of 100 cases.
    inside = stats.binom.cdf(high - 1, 20, 0.5)
    assert inside - stats.binom.cdf(low - 1, 20, 0.5) >= 0.95


def test_a_share_has_wilsons_interval(found):
    found.share("share", [True] * 9 + [False], few="shown")
    low, high = found.values["share"]["ci"]
    # Newcombe (1998), as every table of Wilson's interval has it.
    assert (low, high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    found.share("never", [False] * 20)
    assert found.values["never"]["ci"][0] == 0


@pytest.mark.parametrize("keep", ["mean", "ratio", "median"])
def test_what_was_not_reached_needs_a_reason(found, keep):
    samples = [1.0, np.nan, 2.0]
    with pytest.raises(ValueError, match="finite"):
        getattr(found, keep)("key", samples, "ratio")
    getattr(found, keep)("key", samples, "ratio", reason="not every run")
    assert found.values["key"] == {
        "value": None, "unit": "ratio", "reason": "not every run"
    }  # fmt: skip


def test_series_have_intervals_where_values_have(found):
    found.line("line", [1, 2, 3], ["high", "low", "none"])
    assert found.series["line"] == {
        "x": [1, 2, 3], "y": [2, 1, None], "unit": "ratio",
        "low": [1.5, 0.5, None], "high": [2.5, 1.4, None],
    }  # fmt: skip
    found.line("exact", [1], ["three"])
    assert set(found.series["exact"]) == {"x", "y", "unit"}
    found.curve("curve", [1, 2], [[1.0, 3.0], [2.0, 2.0]], "share")
    assert found.series["curve"]["y"] == [2, 2]
    found.points("points", np.arange(2), [1.0, np.inf], "share")
    assert found.series["points"]["y"] == [1, None]


def test_what_is_reported_can_be_written_as_json(found, capsys):
    found.exact("numpy", np.int64(4), "updates")
    found.mean("samples", np.ones(10), "points")
    found.judge("yes", found["numpy"] == 4)
    found.judge("no", found["numpy"] == 5)
    assert json.loads(json.dumps(found.report())) == found.report()
    assert "yes yes\nno  no\n" in capsys.readouterr().out
