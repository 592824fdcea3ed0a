"""The figure of TITLE; `guide draw TOPIC` saves it."""

from _guide.site.style import batch_axis, draw_line, result_panels


def draw(results):
    """A panel for each framework: updates of an epoch over batch size."""
    figure, panels = result_panels(results, "Updates per epoch")
    for axis, framework, _, result in panels:
        draw_line(axis, result["series"]["updates"], "", framework=framework)
        batch_axis(axis)
    return {"updates": figure}
