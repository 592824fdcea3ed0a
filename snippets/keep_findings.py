from snippets.mean_interval import mean_interval

# isort: split
# --8<-- [start:keep_findings]
import numpy as np
from scipy import stats


class Truth:
    """Whether something holds, and the keys of the values that were read."""

    def __init__(self, holds, because):
        self.holds, self.because = bool(holds), list(dict.fromkeys(because))

    def __and__(self, other):
        return Truth(self.holds and other.holds, self.because + other.because)

    def __or__(self, other):
        return Truth(self.holds or other.holds, self.because + other.because)

    def __invert__(self):
        return Truth(not self.holds, self.because)

    def __bool__(self):
        raise TypeError("combine comparisons by &, | and ~; and, or, not, all")


class Finding:
    """A value that was kept. To compare it gives a Truth.

    It is above a number, or above another value, if its whole interval is. An
    exact value is its own interval; that of a value which was not reached
    has no ends, so that nothing is shown by it.
    """

    def __init__(self, key, entry):
        self.key, self.value = key, entry["value"]
        ends = (self.value, self.value)
        if self.value is None:
            ends = (-np.inf, np.inf)
        self.low, self.high = entry.get("ci", ends)

    def __gt__(self, other):
        return self._truth(other, lambda it: self.low > it.high)

    def __ge__(self, other):
        return self._truth(other, lambda it: self.low >= it.high)

    def __lt__(self, other):
        return self._truth(other, lambda it: self.high < it.low)

    def __le__(self, other):
        return self._truth(other, lambda it: self.high <= it.low)

    def __eq__(self, other):
        return self._truth(
            other, lambda it: self.low == self.high == it.low == it.high
        )

    def within(self, margin):
        """Whether the whole interval is nearer to zero than the margin."""
        return (self > -margin) & (self < margin)

    def between(self, low, high):
        """Whether the whole interval lies between the two."""
        return (self > low) & (self < high)

    def _truth(self, other, holds):
        if isinstance(other, Finding):
            return Truth(holds(other), [self.key, other.key])
        return Truth(holds(Finding("", {"value": other})), [self.key])


class Findings:
    """Values, judgements and series, in the form in which they are kept.

    samples: n numbers, one per replicate (seed, data set or repeat). Where
        one is not finite, `reason` says why and nothing else is kept; without
        a reason it is an error.
    timing: True for what a clock gave, which differs between machines.
    few: why there are fewer than ten samples, where there are.
    """

    def __init__(self):
        self.values, self.judgements, self.series = {}, {}, {}

    def __getitem__(self, key):
        return Finding(key, self.values[key])

    def exact(self, key, value, unit, *, timing=False, reason=None):
        """Keep a number that has no interval: a count, a setting, a choice.

        value: None where there is none, and `reason` says why.
        """
        self._keep(key, value, unit, {"exact": True}, timing, reason=reason)

    def mean(self, key, samples, unit, **more):
        """Keep the mean with Student's interval."""
        self._sampled(key, samples, unit, mean_interval, **more)

    def ratio(self, key, samples, unit="ratio", **more):
        """Keep the geometric mean of paired ratios with its interval."""

        def interval(samples):
            return mean_interval(samples, ratio=True)

        self._sampled(key, samples, unit, interval, **more)

    def median(self, key, samples, unit, **more):
        """Keep the median; the ends of its interval are two of the samples.

        Method: ranks (binomial), so that it holds for any distribution, and a
        few disturbed repeats do not move it.
        """
        self._sampled(key, samples, unit, median_interval, **more)

    def share(self, key, happened, unit="share", **more):
        """Keep how often something happened, with Wilson's interval."""
        self._sampled(key, happened, unit, share_interval, **more)

    def interval(self, key, found, n, unit, *, timing=False, few=None):
        """Keep (value, low, high) that was found in another way."""
        value, low, high = map(float, found)
        more = {"ci": [low, high], "n": int(n)}
        more |= {"because": few} if few else {}
        self._keep(key, value, unit, more, timing)

    def judge(self, key, *truths):
        """Keep whether all of them hold, and what they were read from."""
        because = [name for truth in truths for name in truth.because]
        if not because:
            raise ValueError(f"{key} rests on no value; compare some")
        if key in self.judgements:
            raise KeyError(f"{key} is judged twice")
        self.judgements[key] = {
            "holds": all(truth.holds for truth in truths),
            "because": list(dict.fromkeys(because)),
        }

    def points(self, name, x, y, unit, low=None, high=None):
        """Keep numbers over x for a figure; None or nan where there are none.

        low, high: the ends of their intervals, both or neither.
        """
        columns = {"x": x, "y": y}
        if low is not None:
            columns |= {"low": low, "high": high}
        self.series[name] = {"unit": unit} | {
            axis: [_plain(number) for number in column]
            for axis, column in columns.items()
        }

    def line(self, name, x, keys):
        """Keep for a figure the values of these keys over x."""
        found = [self[key] for key in keys]
        low, high = [each.low for each in found], [each.high for each in found]
        if not any("ci" in self.values[key] for key in keys):
            low = high = None
        y, unit = [each.value for each in found], self.values[keys[0]]["unit"]
        self.points(name, x, y, unit, low, high)

    def curve(self, name, x, samples, unit):
        """Keep for a figure the mean over replicates with its interval.

        samples: [len(x), replicates].
        """
        mean, low, high = zip(*(mean_interval(row) for row in samples))
        self.points(name, x, mean, unit, low, high)

    def report(self):
        """All that was kept; prints the judgements."""
        for key, judgement in self.judgements.items():
            print("yes" if judgement["holds"] else "no ", key)
        return {
            "values": self.values,
            "judgements": self.judgements,
            "series": self.series,
        }

    def _sampled(
        self, key, samples, unit, method, *, timing=False, few=None, reason=None
    ):
        samples = np.asarray(samples, dtype=float)
        if reason and not np.isfinite(samples).all():
            self._keep(key, None, unit, {}, timing, reason=reason)
            return
        found = method(samples)
        self.interval(key, found, len(samples), unit, timing=timing, few=few)

    def _keep(self, key, value, unit, more, timing, reason=None):
        if key in self.values:
            raise KeyError(f"{key} is kept twice")
        if value is None:
            more = {"reason": reason}
        self.values[key] = {"value": _plain(value), "unit": unit} | more
        self.values[key] |= {"timing": True} if timing else {}


def median_interval(samples, confidence=0.95):
    """Median, low, high: the ends are two of the samples.

    So many lie below the median of all by chance in one case of forty.
    Raises ValueError for a sample that is not finite.
    """
    ordered, count = np.sort(samples), len(samples)
    if not np.isfinite(ordered).all():
        raise ValueError("every sample must be finite")
    rank = max(1, int(stats.binom.ppf((1 - confidence) / 2, count, 0.5)))
    return float(np.median(ordered)), ordered[rank - 1], ordered[-rank]


def share_interval(happened, confidence=0.95):
    """Share, low, high, by Wilson's method.

    happened: n times true or false.
    """
    n, share = len(happened), float(np.mean(happened))
    z = stats.norm.ppf((1 + confidence) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    half /= 1 + z**2 / n
    return share, min(share, middle - half), max(share, middle + half)


def _plain(number):
    """A number as JSON writes it; None for what is not finite."""
    if number is None or not np.isfinite(number):
        return None
    return number.item() if hasattr(number, "item") else number


def keep_findings():
    """An empty collection of findings; see Findings for what it keeps."""
    return Findings()


# --8<-- [end:keep_findings]
