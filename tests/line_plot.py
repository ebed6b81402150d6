"""A plain line plot as SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _LABELS = 310, 300, 62, 40, 52, 78
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.page { fill: #fff } .grid { stroke: #ddd } .axis { stroke: #888 } .title { font-weight: 600 }
.line { fill: none; stroke-width: 2 }
.s0 { stroke: #767676 } .s1 { stroke: #1f6fb4 } .s2 { stroke: #b8860b } .s3 { stroke: #c0392b }
.t0 { fill: #767676 } .t1 { fill: #1f6fb4 } .t2 { fill: #b8860b } .t3 { fill: #c0392b }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .page { fill: #15181c } .grid { stroke: #333 } .axis { stroke: #888 }
  .s0 { stroke: #a0a0a0 } .s1 { stroke: #64b0f0 } .s2 { stroke: #e0b84c } .s3 { stroke: #ff7b6b }
  .t0 { fill: #a0a0a0 } .t1 { fill: #64b0f0 } .t2 { fill: #e0b84c } .t3 { fill: #ff7b6b }
}
"""
_DASHES = ("2 3", "8 4", "8 3 2 3", "none")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """Lines by name over one pair of axes, which begin at 0."""

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, Points]
    x_most: float
    y_most: float


def write_plot(path: Path, panels: Sequence[Panel]) -> None:
    """The panels side by side."""
    width = len(panels) * (_WIDTH + _LABELS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" viewBox="0 0 {width} {_HEIGHT}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{_HEIGHT}"/>',
    ]
    for index, panel in enumerate(panels):
        parts += [f'<g transform="translate({index * (_WIDTH + _LABELS)} 0)">', *_drawn(panel), "</g>"]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _drawn(panel: Panel) -> list[str]:
    right, bottom = _WIDTH, _HEIGHT - _BOTTOM

    def x(value: float) -> float:
        return round(_LEFT + value / panel.x_most * (right - _LEFT), 1)

    def y(value: float) -> float:
        return round(bottom - value / panel.y_most * (bottom - _TOP), 1)

    middle, half_way = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts = [
        f'<text class="title" x="{middle}" y="22" text-anchor="middle">{panel.title}</text>',
        f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{panel.x_label}</text>',
        f'<text transform="translate(16 {half_way}) rotate(-90)" text-anchor="middle">{panel.y_label}</text>',
    ]
    for quarter in range(5):
        across, up = panel.x_most * quarter / 4, panel.y_most * quarter / 4
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y(up)}" y2="{y(up)}"/>',
            f'<text x="{_LEFT - 8}" y="{y(up) + 4}" text-anchor="end">{up:,g}</text>',
            f'<text x="{x(across)}" y="{bottom + 18}" text-anchor="middle">{across:,g}</text>',
        ]
    parts.append(f'<path class="axis" fill="none" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
    ends = _apart([y(points[-1][1]) for points in panel.lines.values()])
    for index, ((name, points), end) in enumerate(zip(panel.lines.items(), ends, strict=True)):
        path = "L".join(f"{x(across)} {y(up)}" for across, up in points)
        parts += [
            f'<path class="line s{index}" stroke-dasharray="{_DASHES[index]}" d="M{path}"/>',
            f'<text class="t{index}" x="{right + 8}" y="{end + 4}">{name}</text>',
        ]
    return parts


def _apart(heights: list[float], least: float = 15) -> list[float]:
    """The heights, moved so far that labels beside them do not overlap."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = heights.copy()
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + least)
    return moved
