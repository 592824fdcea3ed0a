# --8<-- [start:mean_interval]
import numpy as np
from scipy import stats


def mean_interval(samples, ratio=False, confidence=0.95):
    """Mean of independent replicates, with its confidence interval.

    samples: n numbers, one per replicate (seed or data set).
    ratio: True for positive numbers that are compared by division; then the
        mean is geometric and the interval comes from the logarithms.
    Returns (mean, low, high) in the unit of the samples.
    Raises ValueError for fewer than two samples, for one that is not
    finite, and with ratio for one that is not positive.
    Method: Student's t with n - 1 degrees of freedom.
    """
    samples = np.asarray(samples, dtype=float)
    if samples.ndim != 1 or len(samples) < 2:
        raise ValueError(
            f"samples has shape {samples.shape}; give at least two numbers"
        )
    if not np.isfinite(samples).all():
        raise ValueError("every sample must be finite")
    if ratio and (samples <= 0).any():
        raise ValueError(f"the smallest ratio is {samples.min()}, not above 0")
    values = np.log(samples) if ratio else samples
    error = stats.sem(values) * stats.t.ppf(
        (1 + confidence) / 2, len(values) - 1
    )
    ends = np.array(
        [values.mean(), values.mean() - error, values.mean() + error]
    )
    return tuple((np.exp(ends) if ratio else ends).tolist())


# --8<-- [end:mean_interval]
