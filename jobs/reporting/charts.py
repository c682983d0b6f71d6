"""Bars, columns and lines as HTML and inline SVG. Labels are HTML, so that they stay readable on a narrow screen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.reporting.page import text

MAX_POINTS = 400  # of a line; more are averaged


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a bar list."""

    label: str  # HTML
    value: str  # HTML, at the end of the row
    parts: Sequence[tuple[str, float]]  # class and share of the full width, in [0, 1]
    details: Sequence[str] = ()  # HTML, lines below the bar


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart."""

    css_class: str
    points: Sequence[tuple[float, float]]  # x, y; x ascending


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis that is pointed out."""

    value: float
    label: str


def bar_list(bars: Sequence[Bar]) -> str:
    """Labelled bars, one below the other."""
    rows = []
    for bar in bars:
        parts = "".join(f'<i class="{name}" style="width:{100 * share:.3f}%"></i>' for name, share in bar.parts if share > 0)
        rows.append(f'<span class="label">{bar.label}</span><span class="track">{parts}</span><span class="number">{bar.value}</span>')
        rows += [f'<span class="detail">{detail}</span>' for detail in bar.details]
    return f'<div class="bars">{"".join(rows)}</div>'


def column_chart(heights: Sequence[int], edges: Sequence[float]) -> str:
    """A histogram: `heights` has one number less than `edges`."""
    top = max(heights, default=0)
    if not top:
        return ""
    columns = "".join(
        f'<i style="height:{100 * height / top:.2f}%" title="{edges[i]:,.0f} to {edges[i + 1]:,.0f}: {height:,}"></i>'
        for i, height in enumerate(heights)
    )
    low, high = edges[0], edges[-1]
    y_ticks = [(tick / top, f"{tick:,.0f}") for tick in nice_ticks(0, top, 3) if tick <= top]
    x_ticks = [((tick - low) / (high - low), f"{tick:,.0f}") for tick in nice_ticks(low, high, 5) if low <= tick <= high]
    return _frame(f'<div class="columns">{columns}</div>', x_ticks, y_ticks, "plot low")


def histogram(parts: Sequence[tuple[Sequence[int], str]], edges: Sequence[float], marks: Sequence[Mark], is_log: bool) -> str:
    """Columns made of parts that stand on each other, with dashed lines at marks.

    Args:
        parts: Heights, one number less than there are edges, and the class of their colour.
        edges: Ascending; on a logarithmic axis above 0, each the same multiple of the one before.
    """
    totals = [sum(heights) for heights in zip(*(heights for heights, _ in parts), strict=True)]
    top = max(totals, default=0)
    if not top:
        return ""
    columns = ""
    for i, total in enumerate(totals):
        shares = [(100 * heights[i] / top, name) for heights, name in reversed(parts) if heights[i]]
        stack = "".join(f'<i class="{name}" style="height:{share:.2f}%"></i>' for share, name in shares)
        columns += f'<span title="{number(edges[i])} to {number(edges[i + 1])}: {total:,}">{stack}</span>'
    place = _log_place(edges) if is_log else _place(edges)
    lines = "".join(f'<b class="mark" style="left:{100 * place(mark.value):.2f}%" title="{text(mark.label)}"></b>' for mark in marks)
    y_ticks = [(tick / top, f"{tick:,.0f}") for tick in nice_ticks(0, top, 3) if tick <= top]
    values = [10.0**n for n in range(math.ceil(math.log10(edges[0])), math.floor(math.log10(edges[-1])) + 1)] if is_log else []
    values = values if len(values) > 1 else nice_ticks(edges[0], edges[-1], 4)
    x_ticks = [(place(tick), f"{tick:,.10g}") for tick in values if edges[0] <= tick <= edges[-1]]
    return _frame(f'<div class="columns stacked">{columns}</div>{lines}', x_ticks, y_ticks, "plot low")


def _place(edges: Sequence[float]) -> Callable[[float], float]:
    return lambda value: (value - edges[0]) / (edges[-1] - edges[0])


def _log_place(edges: Sequence[float]) -> Callable[[float], float]:
    return lambda value: math.log(value / edges[0]) / math.log(edges[-1] / edges[0])


def line_chart(lines: Sequence[Line]) -> str:
    """Lines over a common x and y, with ticks at round numbers."""
    points = [point for line in lines for point in line.points]
    if len(points) < 2:
        return ""
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y, high_y = min(y for _, y in points), max(y for _, y in points)
    y_values = nice_ticks(low_y, high_y, 5)
    low_y, high_y = min(low_y, y_values[0]), max(high_y, y_values[-1])
    span_x, span_y = high_x - low_x or 1.0, high_y - low_y or 1.0
    grid = "".join(f'<path class="grid" d="M0 {1000 - 1000 * (y - low_y) / span_y:.1f}H1000"/>' for y in y_values)
    paths = ""
    for line in lines:
        places = (f"{1000 * (x - low_x) / span_x:.1f} {1000 - 1000 * (y - low_y) / span_y:.1f}" for x, y in thin(line.points))
        paths += f'<path class="{line.css_class}" d="M{"L".join(places)}"/>'
    svg = f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{grid}{paths}</svg>'
    x_ticks = [((x - low_x) / span_x, f"{x:,g}") for x in nice_ticks(low_x, high_x, 5) if low_x <= x <= high_x]
    return _frame(svg, x_ticks, [((y - low_y) / span_y, f"{y:g}") for y in y_values], "plot")


def number(value: float) -> str:
    """As people write it: 50,000,000 and 0.0154."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def nice_ticks(low: float, high: float, wanted: int) -> list[float]:
    """About `wanted` round numbers from at most `low` to at least `high`."""
    if high <= low:
        return [low]
    raw = (high - low) / wanted
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * 0.999)
    first = math.floor(low / step)
    last = math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MAX_POINTS points, each the mean of its neighbours."""
    step = math.ceil(len(points) / MAX_POINTS)
    groups = [points[i : i + step] for i in range(0, len(points), step)] if step else []
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def running_mean(points: Sequence[tuple[float, float]], width: int) -> list[tuple[float, float]]:
    """Each y replaced by the mean of the last `width` of them."""
    means, window = [], 0.0
    for i, (x, y) in enumerate(points):
        window += y - (points[i - width][1] if i >= width else 0.0)
        means.append((x, window / min(i + 1, width)))
    return means


def _frame(plot: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], css_class: str) -> str:
    widest = max((label for _, label in y_ticks), key=len, default="")
    y_labels = f"<b>{text(widest)}</b>" + "".join(
        f'<span style="bottom:{100 * place:.2f}%">{text(label)}</span>' for place, label in y_ticks
    )
    x_labels = ""
    for place, label in x_ticks:
        side = ' class="first"' if place < 0.02 else ' class="last"' if place > 0.98 else ""
        x_labels += f'<span{side} style="left:{100 * place:.2f}%">{text(label)}</span>'
    columns = f'<div class="ticks-y">{y_labels}</div><div class="{css_class}">{plot}</div><div class="ticks-x">{x_labels}</div>'
    return f'<div class="chart">{columns}</div>'
