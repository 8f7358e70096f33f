"""The first screen: five lines of what a reviewer must know, for the page and as Markdown."""

import re
from typing import NamedTuple

from kidneyct_lib.review.collect import Review
from kidneyct_lib.review.figures import FigureChange
from kidneyct_lib.review.paired import FLIP_KINDS
from kidneyct_lib.review.results import MetricChange, Results

_MOST_NAMED = 3

CLOCKS = frozenset({"10_deployment__latency"})
"""Figures drawn from clock readings, which no other run repeats: shown, but no news."""


class Code(str):
    """Text that is quoted as it stands: a name or a value from the branch."""

    __slots__ = ()


class Line(NamedTuple):
    """One line of the first screen."""

    section: str  # id of the page's section that tells more
    title: str
    parts: list[str]  # `Code` among plain text


def headline(review: Review) -> str:
    """Say in one sentence how much changed, as "2 notebooks, 1 parameter, 3 metrics moved …"."""
    if not review.changed:
        return "Nothing changed"
    parts = _counts(
        (len(review.notebooks), "notebook"),
        (len({change.key for change in review.parameters}), "parameter"),
    )
    parts = parts or _counts((len(review.others), "other file"))
    found = review.results
    if found is not None:
        parts += _counts(
            (len(found.beyond_noise), "metric", "moved beyond noise"),
            (len(_news(found)), "figure"),
        )
        if found.moved and not found.beyond_noise:
            parts.append("no metric beyond noise")
        elif not found.moved:
            parts.append("no result moved")
    else:
        parts.append("results not compared")
    return ", ".join(parts)


def lines(review: Review) -> list[Line]:
    """Give the five lines: notebooks, parameters, metrics, predictions and tables, figures."""
    found = review.results
    missing = [f"not compared: {review.missing}"]
    return [
        Line("notebooks", "Notebooks", _notebooks(review)),
        Line("parameters", "Parameters", _parameters(review)),
        Line("metrics", "Metrics", _metrics(found) if found else missing),
        Line("predictions", "Predictions and tables", _tables(found) if found else missing),
        Line("figures", "Figures", _figures(found) if found else missing),
    ]


def plain(review: Review) -> str:
    """Write the first screen for a terminal."""
    told = [f"  {line.title}: {''.join(line.parts)}" for line in lines(review)]
    return "\n".join([f"{headline(review)}.", *told])


def markdown(review: Review) -> str:
    """Write the first screen for a pull request's comment or a job's summary.

    Names and values stand in code spans, in which no Markdown, no HTML and no mention works.
    """
    text = [f"### Review of {_span(branch(review))}: {headline(review)}", ""]
    for line in lines(review):
        content = "".join(_span(p) if isinstance(p, Code) else _escaped(p) for p in line.parts)
        text.append(f"- **{line.title}**: {content}")
    text += ["", f"Against {_span(review.checkout.base_name)}, left at "]
    text[-1] += f"{_span(review.checkout.base[:10])}."
    if review.others:
        text[-1] += f" {_number(len(review.others), 'other file')} changed."
    text += [f"\n> {_escaped(note)}" for note in review.notes]
    return "\n".join(text) + "\n"


def fails(review: Review, fail_on: str) -> bool:
    """Whether a review fails: "any" change of a result, one "beyond-noise", or "none".

    Figures drawn from clock readings do not count.
    """
    found = review.results
    if found is None or fail_on == "none":
        return False
    if fail_on == "beyond-noise":
        return bool(found.beyond_noise)
    return bool(found.metrics or found.tables or _news(found))


def metric_name(change: MetricChange) -> str:
    """Name a metric shortly: `test: patient.accuracy`."""
    return f"{change.file.removeprefix('metrics/').removesuffix('.json')}: {change.key}"


def number(value: object) -> str:
    """Write a value for a reader: four significant digits, whole numbers whole, – for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if value == int_or_none(value) else f"{value:.4g}"


def int_or_none(value: float) -> int | None:
    """Give the whole number that a value is, if it is one."""
    try:
        return int(value) if value == int(value) else None
    except (OverflowError, ValueError):  # infinite or not a number
        return None


def signed(value: float) -> str:
    """Write a difference with its sign."""
    return f"{value:+.4g}"


# --- the lines -----------------------------------------------------------------------------------


def _notebooks(review: Review) -> list[str]:
    found = review.notebooks
    if not found:
        return ["none changed."]
    parts: list[str] = [f"{len(found)} changed: "]
    for change in found[:_MOST_NAMED]:
        parts += [Code(change.path.rpartition("/")[2]), f" ({change.in_words}), "]
    return _ended(parts, len(found))


def _parameters(review: Review) -> list[str]:
    found = review.parameters
    keys = list(dict.fromkeys(change.key for change in found))
    if not found:
        return ["none changed."]
    parts: list[str] = [f"{len(keys)} changed: "]
    for key in keys[:_MOST_NAMED]:
        same = [change for change in found if change.key == key]
        files = [change.file.rpartition("/")[2] for change in same]
        parts += [Code(key), " ", *_values(same[0].before, same[0].after), " in ", Code(files[0])]
        parts.append(f" and {_number(len(files) - 1, 'file')} more, " if files[1:] else ", ")
    return _ended(parts, len(keys))


def _values(before: str | None, after: str | None) -> list[str]:
    sides = [Code(side) if side is not None else "missing" for side in (before, after)]
    return [sides[0], " → ", sides[1]]


def _metrics(found: Results) -> list[str]:
    common, with_pairs = found.counted
    if not found.metrics:
        return [f"none of {common:,} moved."]
    beyond = found.beyond_noise
    parts: list[str] = [
        f"{len(beyond)} of {with_pairs:,} with a paired interval moved beyond noise"
    ]
    parts.append(": " if beyond else ", ")
    for change in beyond[:_MOST_NAMED]:
        parts += [Code(metric_name(change)), f" {signed(change.difference or 0)}, "]
    if len(beyond) > _MOST_NAMED:
        parts.append(f"{len(beyond) - _MOST_NAMED} more, ")
    parts.append(f"{len(found.metrics)} of {common:,} moved at all, in ")
    files = [change.file.rpartition("/")[2] for change in found.metrics]
    return parts + _named(files)


def _tables(found: Results) -> list[str]:
    parts = []
    for flips in found.flips:
        kinds = [f"{int(flips.by_class[kind].sum())} {kind}" for kind in FLIP_KINDS]
        told = f" ({', '.join(kinds)})" if len(flips.slices) else ""
        parts.append(f"{len(flips.slices)} of {flips.n:,} by {flips.scheme} flipped{told}; ")
    if not found.tables:
        return [*parts, "no table differs."]
    cells = sum(change.differing for change in found.tables)
    parts.append(f"{cells:,} cells of {_number(len(found.tables), 'table')} differ: ")
    return parts + _named([change.name.rpartition("/")[2] for change in found.tables])


def _figures(found: Results) -> list[str]:
    if found.same_figures is None:
        return ["not compared: a side keeps none (name a finished run of the base: BASE_RUN=path)."]
    news, clocks = _news(found), len(found.figures) - len(_news(found))
    drawn = f"; {_number(clocks, 'more')} drawn from clock readings" if clocks else ""
    if not news:
        return [f"none of {found.same_figures + len(found.figures)} differs{drawn}."]
    ended = _named([change.name for change in news])
    ended.insert(0, f"{len(news)} of {found.same_figures + len(found.figures)} differ: ")
    return [*ended[:-1], ended[-1].removesuffix(".") + drawn + "."]


def _news(found: Results) -> list[FigureChange]:
    return [change for change in found.figures if change.name not in CLOCKS]


# --- words ---------------------------------------------------------------------------------------


def _named(names: list[str]) -> list[str]:
    """List different names, the first few of them."""
    different = list(dict.fromkeys(names))
    parts = [part for name in different[:_MOST_NAMED] for part in (Code(name), ", ")]
    return _ended(parts, len(different))


def _ended(parts: list[str], total: int) -> list[str]:
    """End a listing: say how many were left out, or turn its last comma into a full stop."""
    if total > _MOST_NAMED:
        return [*parts, f"{total - _MOST_NAMED} more."]
    return [*parts[:-1], parts[-1].removesuffix(", ") + "."]


def _counts(*counted: tuple) -> list[str]:
    return [" ".join([_number(count, word), *rest]) for count, word, *rest in counted if count]


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' if count != 1 and word != 'more' else ''}"


def branch(review: Review) -> str:
    """Name the branch, or its last commit where HEAD is detached."""
    return review.checkout.branch or review.checkout.head[:10]


def _span(text: str) -> str:
    """Quote a text in Markdown: on one line, between more backticks than it holds."""
    flat = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    pad = " " if flat[:1] == "`" or flat[-1:] == "`" else ""
    return f"{fence}{pad}{flat}{pad}{fence}" if flat else "``` ```"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|~@&])", r"\\\1", re.sub(r"\s*\n\s*", " ", text))
