"""Figure of the subgroups.

It takes data and returns a Figure; it computes no result and saves nothing.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kidneyct_lib.plots.style import (
    FULL_WIDTH,
    SCHEME_TITLES,
    journal_style,
    legend_above,
    new_figure,
    scheme_styles,
)


@journal_style
def subgroup_accuracy(frame: pd.DataFrame) -> Figure:
    """Draw the accuracy in each level of each subgroup under each scheme, with its interval.

    Parameters
    ----------
    frame
        ``scheme`` and the columns of `subgroups.by_subgroup`.

    Returns
    -------
    Figure with one line per level, subgroups set apart; hollow markers where groups are few.
    """
    schemes = list(frame["scheme"].unique())
    rows = frame.drop_duplicates(["subgroup", "level"])
    # A gap of one line, for its title, opens each subgroup.
    opening = rows["subgroup"].ne(rows["subgroup"].shift()).cumsum()
    rows = rows.assign(y=np.arange(len(rows)) + opening)
    figure, ((axes,),) = new_figure(FULL_WIDTH, 1.0 + 0.3 * (rows["y"].max() + 1))
    where = rows.set_index(["subgroup", "level"])["y"]
    for k, (scheme, style) in enumerate(scheme_styles(schemes).items()):
        part = frame[frame["scheme"] == scheme]
        y = where.loc[pd.MultiIndex.from_frame(part[["subgroup", "level"]])].to_numpy()
        y = y + 0.26 * (k - (len(schemes) - 1) / 2)
        axes.hlines(y, part["accuracy_low"], part["accuracy_high"], color=style.colour, zorder=1)
        axes.scatter(
            part["accuracy"],
            y,
            s=26,
            facecolors=np.where(part["few_groups"], "white", style.colour),
            edgecolors=np.where(part["few_groups"], style.colour, "black"),
            marker=style.marker,
            linewidth=np.where(part["few_groups"], 1.3, 0.5),
            zorder=2,
            clip_on=False,
        )
        title = SCHEME_TITLES.get(scheme, scheme)
        axes.plot([], [], color=style.colour, marker=style.marker, label=title)
    if frame["few_groups"].any():
        axes.scatter([], [], facecolors="white", edgecolors="0.3", label="fewer than ten groups")
    _name_rows(axes, frame, rows)
    axes.set(xlim=(0, 1), ylim=(rows["y"].max() + 0.6, -0.4))
    axes.set(xlabel="Accuracy, with 95 % interval over groups")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    legend_above(figure, axes)
    return figure


def _name_rows(axes, frame: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Name each level with its groups, and each subgroup in the gap above its levels."""
    groups = frame.groupby(["subgroup", "level"], sort=False)["groups"].unique()
    names = [
        f"{row.level} ({' | '.join(map(str, groups[row.subgroup, row.level]))} groups)"
        for row in rows.itertuples()
    ]
    axes.set_yticks(rows["y"], names)
    axes.tick_params(axis="y", length=0)
    for row in rows.drop_duplicates("subgroup").itertuples():
        axes.annotate(
            row.subgroup.capitalize(),
            (0, row.y - 1),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
            fontweight="bold",
        )
