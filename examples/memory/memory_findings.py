# %% [markdown]
# ## What is read from the runs
#
# The formulas: what the gradient of each layer needs. A linear layer needs its
# input, ReLU its output, normalisation its input, softmax its output. What two
# of them need is kept once. A judgement holds when the whole interval is on its
# side.

# %%
import numpy as np

from memory_problem import *
from snippets.keep_findings import keep_findings

MB, GB = 1e6, 1e9
# The example: so many images of this side, in pixels, on a device of so many
# GiB; images of a smaller side; and a batch of MNIST.
ARCHITECTURES = ["vgg16", "resnet50", "mobilenetv2"]
EXAMPLE_IMAGES = 64
EXAMPLE_SIDE = 512
DEVICE_GIB = 4
SMALL_SIDE = 224
MNIST_SIDE = 28
MNIST_BATCH_SIZE = 256
# A relative difference of gradients below this is rounding, in float32.
ROUNDING = 1e-4
# "Close" to the loss of float32 is within this share of it, and "nearly" is at
# least this share. Set beforehand.
CLOSE = 0.02
NEARLY = 0.9
# The smallest number that float16 holds, and the smallest with all digits.
FLOAT16_SMALLEST = 2.0**-24
FLOAT16_NORMAL = 2.0**-14


def layer_table(name):
    """The published layers of an architecture, from the image on.

    Convolutions are (kind, outputs, kernel, stride, groups); a residual part
    holds the layers of its branch and of its shortcut.
    """
    if name == "vgg16":
        table = []
        for channels, count in (
            (64, 2),
            (128, 2),
            (256, 3),
            (512, 3),
            (512, 3),
        ):
            table += [("bias_conv", channels, 3, 1, 1), ("relu",)] * count
            table += [("max_pool", 2, 2)]
        table += [("mean_pool", 7), ("flatten",)]
        for units in (4096, 4096):
            table += [("dense", units), ("relu",)]
        return [*table, ("dense", 1000)]

    def conv(*sizes):
        return [("conv", *sizes), ("norm",)]

    if name == "resnet50":
        table = [*conv(64, 7, 2, 1), ("relu",), ("max_pool", 3, 2)]
        stages = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
        for width, count, first_stride in stages:
            for block in range(count):
                stride = 1 if block else first_stride
                branch = [*conv(width, 1, 1, 1), ("relu",)]
                branch += [*conv(width, 3, stride, 1), ("relu",)]
                branch += conv(4 * width, 1, 1, 1)
                shortcut = [] if block else conv(4 * width, 1, stride, 1)
                table += [("residual", branch, shortcut), ("relu",)]
        return [*table, ("mean_pool", 1), ("flatten",), ("dense", 1000)]

    table, inputs = [*conv(32, 3, 2, 1), ("relu",)], 32
    stages = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, outputs, count, first_stride in stages:
        for block in range(count):
            stride = 1 if block else first_stride
            width, branch = expansion * inputs, []
            if expansion > 1:
                branch += [*conv(width, 1, 1, 1), ("relu",)]
            branch += [*conv(width, 3, stride, width), ("relu",)]
            branch += conv(outputs, 1, 1, 1)
            if stride == 1 and inputs == outputs:
                branch = [("residual", branch, [])]
            table += branch
            inputs = outputs
    table += [*conv(1280, 1, 1, 1), ("relu",), ("mean_pool", 1)]
    return [*table, ("flatten",), ("dense", 1000)]


def count_layers(table, shape):
    """Parameters; and for each tensor kept of an image, (elements, side)."""
    kept, parameters, made = {}, 0, [0]

    def walk(table, number, shape):
        nonlocal parameters
        for kind, *sizes in table:
            channels, side = shape
            if kind in ("conv", "bias_conv", "dense", "norm", "max_pool"):
                kept[number] = (channels * side**2, side)
            if kind in ("conv", "bias_conv"):
                outputs, kernel, stride, groups = sizes
                parameters += outputs * channels // groups * kernel**2
                parameters += outputs if kind == "bias_conv" else 0
                shape = (outputs, -(-side // stride))
            elif kind == "norm":
                parameters += 2 * channels
            elif kind == "max_pool":
                shape = (channels, side // sizes[1])
            elif kind == "mean_pool":
                shape = (channels, sizes[0])
            elif kind == "flatten":
                shape = (channels * side**2, 1)
                continue
            elif kind == "dense":
                parameters += channels * sizes[0] + sizes[0]
                shape = (sizes[0], 1)
            elif kind == "residual":
                _, shape = walk(sizes[0], number, (channels, side))
                walk(sizes[1], number, (channels, side))
            made[0] += 1
            number = made[0]
            if kind == "relu":
                kept[number] = (channels * side**2, side)
        return number, shape

    number, shape = walk(table, 0, shape)
    # The probabilities, for the loss.
    kept[number] = (shape[0], 1)
    return parameters, list(kept.values())


def small_cnn(side, channels):
    """Bytes that the small convolutional network keeps of an image."""
    first, second, third = CHANNELS
    table = [("bias_conv", first, 3, 1, 1), ("relu",)]
    table += [("bias_conv", second, 3, 1, 1), ("relu",), ("max_pool", 2, 2)]
    table += [("bias_conv", third, 3, 1, 1), ("relu",), ("mean_pool", 1)]
    table += [("flatten",), ("dense", NUM_CLASSES)]
    _, kept = count_layers(table, (channels, side))
    return 4 * sum(elements for elements, _ in kept)


def formula(kind):
    """Bytes kept of an example; those of its largest layer's output."""
    if kind == "mlp":
        kept = NUM_FEATURES + 2 * HIDDEN_UNITS + NUM_CLASSES
        return 4 * kept, 4 * HIDDEN_UNITS
    if kind == "cnn":
        largest = 4 * max(CHANNELS[:2]) * IMAGE_SIDE**2
        return small_cnn(IMAGE_SIDE, IMAGE_CHANNELS), largest
    # Two normalisations and what they give, query, key, value and context.
    block = SEQUENCE_LENGTH * (8 * WIDTH + FEED_FORWARD)
    block += HEADS * SEQUENCE_LENGTH**2
    end = SEQUENCE_LENGTH * (2 * WIDTH + VOCABULARY)
    return 4 * (NUM_BLOCKS * block + end), 4 * SEQUENCE_LENGTH * FEED_FORWARD


def keep_range(found, key, samples, unit):
    """Keep the mean of the processes, with the smallest and the largest."""
    ends = np.mean(samples), np.min(samples), np.max(samples)
    few = "resident memory repeats"
    found.interval(key, ends, len(samples), unit, timing=True, few=few)


def keep_states(found, parameters, states, peaks):
    """What the optimizers keep, counted and in the process."""
    for name, state in states.items():
        found.exact(f"state.mlp.{name}", state / parameters, "ratio")
    peak = {name: peaks["mlp", name, "plain"][:, -1] for name in STATE_VALUES}
    shown = []
    for name in ("momentum", "adam"):
        extra = peak[name] - peak["sgd"]
        extra = extra / (STATE_VALUES[name] * parameters)
        keep_range(found, f"extra.over_state.{name}", extra, "ratio")
        shown.append(found[f"extra.over_state.{name}"].between(0.75, 1.25))
    found.judge("states_show_in_the_process", *shown)


def fit_line(peaks, sizes):
    """(slope, intercept) of the highest memory, of each process."""
    return np.polyfit(sizes, peaks[:, -len(sizes) :].T, 1)


def keep_line(found, kind, counts, peaks):
    """The straight line of one network with Adam: formula, count, process."""
    kept, largest = formula(kind)
    counted = counts["per_example"]
    fixed = 4 * counts["parameters"]
    rule = kept + 2 * largest
    found.exact(f"kept.formula.{kind}", kept / 1000, "kB")
    found.exact(f"kept.counted.{kind}", counted / 1000, "kB")
    found.exact(f"kept.error.{kind}", 100 * (kept / counted - 1), "percent")
    found.exact(f"fixed.formula.{kind}.adam", fixed / MB, "MB")
    found.exact(f"rule.{kind}", rule / 1000, "kB")
    slope, intercept = fit_line(peaks, BATCH_SIZES[kind])
    keep_range(found, f"slope.resident.{kind}", slope / 1000, "kB")
    keep_range(found, f"intercept.resident.{kind}", intercept / MB, "MB")
    keep_range(found, f"slope.over_kept.{kind}", slope / kept, "ratio")
    keep_range(found, f"slope.over_rule.{kind}", slope / rule, "ratio")
    found.judge(
        f"formula_is_right.{kind}", found[f"kept.error.{kind}"].within(20)
    )
    found.judge(
        f"process_takes_what_is_kept.{kind}",
        found[f"slope.over_kept.{kind}"] > NEARLY,
    )
    if kind != "cnn":
        sizes, taken = np.array(BATCH_SIZES[kind]), peaks.T / MB
        ends = taken.min(axis=1), taken.max(axis=1)
        mean = taken.mean(axis=1)
        found.points(f"resident.{kind}", sizes, mean, "MB", *ends)
        for name, per_example in (("kept", kept), ("rule", rule)):
            needed = (fixed + sizes * per_example) / MB
            found.points(f"{name}.{kind}", sizes, needed, "MB")


def keep_savings(found, peaks, held, gradients, seconds, losses):
    """The transformer with checkpoints and in bfloat16, against plain."""
    plain_slope, _ = fit_line(peaks["transformer", "adam", "plain"], MODE_SIZES)
    plain = gradients["plain"].astype("float64")
    for mode in MODES[1:]:
        share = held[mode] / held["plain"]
        found.exact(f"held_share.{mode}", share, "share")
        found.judge(f"{mode}_keeps_less", found[f"held_share.{mode}"] < 0.8)
        slope, _ = fit_line(peaks["transformer", "adam", mode], MODE_SIZES)
        key = f"slope_share.{mode}"
        keep_range(found, key, slope / plain_slope, "share")
        found.judge(f"{mode}_shrinks_the_process", found[key] < 0.9)
        slower = seconds[mode] / seconds["plain"]
        found.ratio(f"time.{mode}", slower, timing=True)
        away = np.linalg.norm(gradients[mode] - plain) / np.linalg.norm(plain)
        found.exact(f"gradient_error.{mode}", away, "ratio", timing=True)
    found.judge("checkpoint_takes_longer", found["time.checkpoint"] > 1)
    found.judge(
        "checkpoint_leaves_the_gradient",
        found["gradient_error.checkpoint"] < ROUNDING,
    )
    found.judge(
        "bfloat16_changes_the_gradient",
        found["gradient_error.bfloat16"] > ROUNDING,
    )
    away = abs(losses["bfloat16"] / losses["plain"] - 1)
    found.exact("loss_distance.bfloat16", away, "share", timing=True)
    found.judge(
        "bfloat16_loss_is_close", found["loss_distance.bfloat16"] < CLOSE
    )
    # What float16 would do to this gradient if nothing scaled it. Below half
    # of the smallest number, it is rounded to 0.
    sizes = np.abs(plain[plain != 0])
    for name, smallest in (
        ("to_zero", FLOAT16_SMALLEST / 2),
        ("fewer_digits", FLOAT16_NORMAL),
    ):
        share = np.mean(sizes < smallest)
        found.exact(f"float16.{name}", share, "share", timing=True)
    found.judge("float16_rounds_some_to_zero", found["float16.to_zero"] > 1e-4)


def keep_search(found, budget, size, errors):
    """The largest batch: what the rule predicts, and what was found."""
    room = budget * 2**20 / 1000
    room -= 1000 * found["fixed.formula.transformer.adam"].value
    predicted = room / found["rule.transformer"].value
    predicted -= predicted % SEARCH_MULTIPLE
    found.exact("search.predicted", predicted, "examples")
    found.exact("search.found", size, "examples", timing=True)
    found.exact("search.failures", len(errors), "tries", timing=True)
    found.exact("search.over_predicted", size / predicted, "ratio", timing=True)
    found.judge("training_goes_on_after_failures", found["search.failures"] > 0)
    found.judge(
        "search_finds_what_is_predicted",
        found["search.over_predicted"].between(2 / 3, 1.5),
    )


def keep_images(found, name):
    """An architecture, trained by SGD with momentum: three numbers a weight."""
    device, table = DEVICE_GIB * 2**30, layer_table(name)
    parameters, tensors = count_layers(table, (3, EXAMPLE_SIDE))
    per_image = 4 * sum(elements for elements, _ in tensors)
    early = 4 * sum(e for e, side in tensors if side >= EXAMPLE_SIDE // 4)
    _, small = count_layers(table, (3, SMALL_SIDE))
    small = 4 * sum(elements for elements, _ in small)
    fixed = 3 * 4 * parameters
    total = fixed + EXAMPLE_IMAGES * per_image
    fits = int((device - fixed) // per_image)
    share_kept = EXAMPLE_IMAGES * per_image / total
    over = (fixed + EXAMPLE_IMAGES * small) / device
    for key, value, unit in (
        ("parameters", parameters / 1e6, "million"),
        ("kept", per_image / MB, "MB"),
        ("fixed", fixed / GB, "GB"),
        ("total", total / GB, "GB"),
        ("over_device", total / device, "ratio"),
        ("fit", fits, "images"),
        ("share_kept", share_kept, "share"),
        ("share_early", early / per_image, "share"),
        ("small_over_device", over, "ratio"),
    ):
        found.exact(f"images.{key}.{name}", value, unit)
    sides = sorted({side for _, side in tensors if side > 8})
    by_side = [4 * sum(e for e, s in tensors if s == side) for side in sides]
    found.points(f"by_side.{name}", sides, np.array(by_side) / MB, "MB")


def keep_example(found):
    """The often repeated example of the images that fill a device."""
    device = DEVICE_GIB * 2**30
    for name in ARCHITECTURES:
        keep_images(found, name)
    over = [found[f"images.over_device.{name}"] for name in ARCHITECTURES]
    found.judge("example_does_not_fit", *[ratio > 1 for ratio in over])
    kept = [found[f"images.share_kept.{name}"] for name in ARCHITECTURES]
    found.judge("activations_fill_it", *[share > 0.9 for share in kept])
    pixels = EXAMPLE_IMAGES * 3 * EXAMPLE_SIDE**2 * 4
    found.exact("images.pixels", pixels / GB, "GB")
    found.exact("images.pixels_of_device", pixels / device, "share")
    mnist = MNIST_BATCH_SIZE * small_cnn(MNIST_SIDE, 1)
    found.exact("mnist.kept", mnist / MB, "MB")
    found.judge("mnist_fits", found["mnist.kept"] < device / 10 / MB)


def memory_findings(
    estimates,
    states,
    peaks,
    held,
    gradients,
    seconds,
    losses,
    searched,
):
    """Values, judgements and series.

    estimates: {network: what estimate_memory returns}.
    states: {optimizer: bytes that it keeps, of the perceptron}.
    peaks: {(network, optimizer, mode): highest memory in bytes, [processes,
        batch sizes]}.
    held: {mode: bytes that one more example keeps, of the transformer}.
    gradients: {mode: [weights]}, of one batch.
    seconds: {mode: of an update, [repeats]}.
    losses: {mode: after the last update}.
    searched: (budget in MiB, largest batch found, names of the errors on the
        way).
    """
    found = keep_findings()
    keep_states(found, estimates["mlp"]["parameters"], states, peaks)
    for kind in KINDS:
        keep_line(found, kind, estimates[kind], peaks[kind, "adam", "plain"])
    keep_savings(found, peaks, held, gradients, seconds, losses)
    keep_search(found, *searched)
    keep_example(found)
    return found.report()
