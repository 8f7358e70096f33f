"""The figure of a study of two classes.

It takes data and returns a Figure; it computes no result and saves nothing.
"""

import numpy as np
import pandas as pd
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    SCHEME_TITLES,
    grouped_bars,
    journal_style,
    legend_above,
    new_figure,
    scheme_styles,
)

_MEASURES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
}
_FINAL_STAGE = 2


@journal_style
def binary_summary(table: pd.DataFrame) -> Figure:
    """Draw how many are found, how many are spared and how well slices are ranked, by scheme.

    Parameters
    ----------
    table
        From `binary_metrics.table`; the rows of the final stage (2) are drawn, one a scheme.

    Returns
    -------
    Figure of grouped bars, 0 to 1, with 95 % intervals clustered by group; lines across the bars
    mark chance: 0.5 for ROC-AUC, the prevalence among each scheme's test slices for PR-AUC. Below
    sensitivity and specificity stand the slices and groups behind each scheme's bar.
    """
    final = table[table["stage"] == _FINAL_STAGE].set_index("scheme")
    measures = list(_MEASURES)
    figure, ((axes,),) = new_figure(FULL_WIDTH, 3.4)
    grouped_bars(
        axes,
        final[measures].T.astype(float),
        scheme_styles(list(final.index)),
        number="{:.3f}",
        names={
            scheme: f"{SCHEME_TITLES.get(scheme, scheme)} ({row['n']:,} slices, "
            f"{row['groups']:,} groups)"
            for scheme, row in final.iterrows()
        },
        intervals={
            scheme: np.array([row[[f"{m}_low", f"{m}_high"]] for m in measures], float)
            for scheme, row in final.iterrows()
        },
    )
    series = [container for container in axes.containers if isinstance(container, BarContainer)]
    for bars, prevalence in zip(series, final["prevalence"], strict=True):
        for measure, chance in (("roc_auc", 0.5), ("pr_auc", prevalence)):
            bar = bars[measures.index(measure)]
            axes.hlines(
                chance,
                bar.get_x(),
                bar.get_x() + bar.get_width(),
                color="black",
                linewidth=1.6,
                path_effects=[withStroke(linewidth=4, foreground="white")],
            )
    axes.collections[-1].set_label("chance")
    axes.set_xticks(range(len(measures)), _ticks(final))
    axes.set(ylim=(0, 1.12), yticks=np.arange(0, 1.01, 0.2))
    axes.set(xlabel="Measure on the test part", ylabel="Value, with 95 % interval")
    legend_above(figure, axes)
    return figure


def _ticks(final: pd.DataFrame) -> list[str]:
    """Name the measures, with the slices and groups that sensitivity and specificity count."""
    positive = final["positive_class"].iloc[0]
    behind = {
        "sensitivity": (f"of {positive}", final["positives"], final["positive_groups"]),
        "specificity": ("of the others", final["n"] - final["positives"], final["negative_groups"]),
    }
    ticks = []
    for measure, name in _MEASURES.items():
        lines = [name]
        if measure in behind:
            whose, slices, groups = behind[measure]
            lines += [whose]
            for counts, unit in ((slices, "slices"), (groups, "groups")):
                lines.append(" | ".join(f"{count:,}" for count in counts) + f" {unit}")
        ticks.append("\n".join(lines))
    return ticks
