"""The figure of TITLE; `guide draw TOPIC` saves it."""

from _guide.site.style import batch_axis, draw_line, new_figure


def draw(results):
    """One panel per framework: updates of an epoch over batch size."""
    figure, axes = new_figure(columns=2, sharey=True)
    frameworks = {"keras": "Keras", "torch": "PyTorch"}
    for axis, (framework, label) in zip(axes, frameworks.items()):
        result = results.get(f"TOPIC_{framework}.cpu")
        if result:
            series = result["series"]["updates_per_epoch"]
            draw_line(axis, series, "", framework=framework)
        batch_axis(axis)
        axis.set_title(label)
    axes[0].set_ylabel("Updates per epoch")
    return {"updates_by_batch_size": figure}
