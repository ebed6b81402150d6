"""Charts as inline SVG. Places are shares of the width, so that texts keep their size from phone to desktop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

_HEIGHT, _TOP, _FOOT = 150, 18, 22


def columns(
    series: Mapping[str, Sequence[int]], titles: Sequence[str], ticks: Sequence[tuple[float, str]], caption: str
) -> Markup:
    """Stacked columns. `series` are counts by CSS class, `titles` say what each column is, `ticks` are texts below at
    shares of the width."""
    count = len(titles)
    totals = [sum(values[place] for values in series.values()) for place in range(count)]
    top = max([*totals, 1])
    parts: list[Markup] = []
    for place, total in enumerate(totals):
        x, width = 100 * (place + 0.07) / count, 86 / count
        base = 0.0
        for name, values in series.items():
            if values[place]:
                height = _HEIGHT * values[place] / top
                y = _TOP + _HEIGHT - base - height
                title = f"{titles[place]}: {values[place]:,}" + (f" {name}" if len(series) > 1 else "")
                parts.append(_rect(name, x, width, y, height, title))
                base += height
        if count <= 12 and total:
            parts.append(_text(x + width / 2, _TOP + _HEIGHT - base - 5, short(total)))
    parts += [_text(100 * share, _TOP + _HEIGHT + 16, text, _anchor(share)) for share, text in ticks]
    return _chart(parts, caption)


def line(points: Sequence[tuple[str, float]], lowest: float, highest: float, caption: str, form: str) -> Markup:
    """Values at equal distances, each with its label below and, in `form`, its value above."""
    width = (highest - lowest) or 1.0
    places = [100 * (place + 0.5) / len(points) for place in range(len(points))]
    heights = [_TOP + _HEIGHT * (1 - (value - lowest) / width) for _, value in points]
    path = " ".join(f"{x:.3f},{y:.2f}" for x, y in zip(places, heights, strict=True))
    total = _TOP + _HEIGHT
    parts = [
        Markup(
            '<svg x="0" y="0" width="100%" height="{0}" viewBox="0 0 100 {0}" preserveAspectRatio="none">'
            '<polyline class="line" points="{1}"/></svg>'
        ).format(total, path)
    ]
    for x, y, (label, value) in zip(places, heights, points, strict=True):
        parts.append(Markup('<circle class="dot" cx="{}%" cy="{}" r="4"/>').format(f"{x:.3f}", f"{y:.2f}"))
        parts.append(_text(x, y - 8 if y > 26 else y + 18, form.format(value)))
        parts.append(_text(x, total + 16, label))
    return _chart(parts, caption)


def intervals(items: Sequence[tuple[float, float, float, str]], caption: str) -> Markup:
    """Means with their lows and highs, shares all of them, and a title for each."""
    parts: list[Markup] = []
    for share in (0.0, 0.5, 1.0):
        level = _TOP + _HEIGHT * (1 - share)
        parts.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(f"{level:.2f}"))
        parts.append(_text(0, level - 3, f"{share:.0%}", "start"))
    for place, (mean, low, high, title) in enumerate(items):
        x = 8 + 92 * (place + 0.5) / len(items)
        y, height = _TOP + _HEIGHT * (1 - high), max(_HEIGHT * (high - low), 1.0)
        parts.append(_rect("range", x - 0.25, 0.5, y, height, title))
        parts.append(
            Markup('<circle class="dot" cx="{}%" cy="{}" r="3"><title>{}</title></circle>').format(
                f"{x:.3f}", f"{_TOP + _HEIGHT * (1 - mean):.2f}", title
            )
        )
    return _chart(parts, caption)


def bar(share: float) -> Markup:
    """One bar that takes this share of its place."""
    width = f"{100 * min(max(share, 0.0), 1.0):.2f}"
    return Markup('<svg class="meter" height="12"><rect class="bar" width="{}%" height="12"/></svg>').format(width)


def short(count: float) -> str:
    """A count in a few characters."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}"
    return f"{count:g}"


def _chart(parts: Sequence[Markup], caption: str) -> Markup:
    opening = Markup('<svg class="chart" height="{}" role="img" aria-label="{}">').format(
        _TOP + _HEIGHT + _FOOT, caption
    )
    return opening + Markup("").join(parts) + Markup("</svg>")


def _rect(name: str, x: float, width: float, y: float, height: float, title: str) -> Markup:
    return Markup('<rect class="{}" x="{}%" width="{}%" y="{}" height="{}"><title>{}</title></rect>').format(
        name, f"{x:.3f}", f"{width:.3f}", f"{y:.2f}", f"{height:.2f}", title
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> Markup:
    return Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>').format(f"{x:.3f}", f"{y:.2f}", anchor, text)


def _anchor(share: float) -> str:
    return "start" if share < 0.02 else "end" if share > 0.98 else "middle"
