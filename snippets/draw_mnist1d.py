# --8<-- [start:draw_mnist1d]
import numpy as np
from mnist1d.data import get_dataset_args, get_templates
from scipy.ndimage import gaussian_filter1d


def draw_mnist1d(num_examples, seed):
    """MNIST-1D drawn anew, in far less time than its package takes.

    num_examples: at least one; as many as asked for of a data set of the
        next multiple of ten, in which every class is as frequent.
    seed: the same seed gives the very examples of the package.
    Returns x, float64 [num_examples, 40], of mean 0 and standard deviation 1
    over the data set, and y, the digits, int64 [num_examples].
    Raises ValueError for no examples.
    Source: Greydanus and Kobak (2024) and their package mnist1d. The
    noise is drawn example by example, as there; what is done to it is done
    to all at once.
    """
    if num_examples < 1:
        raise ValueError(f"num_examples is {num_examples}; give at least 1")
    random = np.random.RandomState(seed)
    settings, templates = get_dataset_args(), get_templates()
    shortest, longest = settings.padding
    start, end = settings.template_len, settings.template_len + longest
    digits = np.zeros((len(templates["y"]), end))
    digits[:, :start] = templates["x"] + 1e-8
    grids = [np.linspace(0, 1, length) for length in range(1, end + 1)]
    y = np.repeat(templates["y"], -(-num_examples // len(digits)))
    x, correlated, noise = np.empty((3, len(y), end))
    moved, shear = np.empty((len(y), 1), dtype=int), np.empty((len(y), 1))
    for number, digit in enumerate(y):
        # Longer, as if more or less empty space had followed it.
        length = start + shortest
        length += int(random.rand() * (longest - shortest + 1))
        signal = np.interp(grids[-1], grids[length - 1], digits[digit, :length])
        x[number] = signal * (1 + settings.scale_coeff * (random.rand() - 0.5))
        moved[number] = random.randint(settings.max_translation)
        correlated[number], noise[number] = random.randn(2, end)
        shear[number] = random.rand() - 0.5
    x = np.take_along_axis(x, (np.arange(end) - moved) % end, axis=1)
    correlated = gaussian_filter1d(settings.corr_noise_scale * correlated, 2)
    x = np.where(x != 0, x, correlated) + settings.iid_noise_scale * noise
    x -= settings.shear_scale * shear * np.linspace(-0.5, 0.5, end)
    # Fewer places, evenly spread.
    shown = np.linspace(0, 1, settings.final_seq_length)
    x = np.array([np.interp(shown, grids[-1], row) for row in x])
    order = random.permutation(len(y))
    x, y = x[order], y[order]
    x = (x - x.mean()) / x.std()
    return x[:num_examples], y[:num_examples]


# --8<-- [end:draw_mnist1d]
