"""What every figure must keep to."""

import io

from matplotlib.figure import Figure


def assert_within_border(figure: Figure) -> None:
    """Nothing that is drawn lies beyond the figure's edge, by more than a rounding."""
    figure.savefig(io.BytesIO(), dpi=100)
    inside, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert inside.x0 > -0.02
    assert inside.y0 > -0.02
    assert inside.x1 < width + 0.02
    assert inside.y1 < height + 0.02
