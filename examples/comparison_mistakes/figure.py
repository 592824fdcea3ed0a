"""Draws what the programs about mistakes in comparing measured."""

from _guide.site.style import batch_axis, draw_line, result_panels


def one_seed(results):
    figure, panels = result_panels(results, "16 minus 24, points")
    for axis, framework, _, result in panels:
        line = result["series"]["difference_by_seeds"]
        draw_line(axis, line, "", framework=framework)
        axis.axhline(0, color="0.5", linewidth=0.8)
        axis.set_xlabel("Seeds")
    return figure


def random_labels(results):
    figure, panels = result_panels(results, "Accuracy in percent")
    for axis, framework, _, result in panels:
        for part in ("train", "test"):
            line = result["series"][f"random_labels.{part}"]
            draw_line(axis, line, part, framework=framework)
        batch_axis(axis)
    return figure


def draw(results):
    return {
        "one_seed": one_seed(results),
        "random_labels": random_labels(results),
    }
