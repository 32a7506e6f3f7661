"""Draw the curves of a training as an SVG: python tools/builtin/curves.py OUT/log.jsonl docs/builtin-model.svg"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 320, 56, 56, 24, 44
COLOURS = {"loss": "#b4551f", "right": "#2f6f9f", "held_out": "#1d7a46"}
SAID = {
    "loss": "loss on the answers (left, logarithmic)",
    "right": "answers right, training",
    "held_out": "answers right, packages never seen",
}
LOSSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def read(path: Path) -> list[dict[str, float]]:
    """Return the rows of a log; where a run was taken up from a checkpoint, the later rows hold."""
    kept: list[dict[str, float]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        while kept and kept[-1]["step"] > row["step"]:
            kept.pop()
        kept.append(row)
    return kept


def across(minutes: float, longest: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * minutes / longest


def share(value: float) -> float:
    """Return the height of a share, of which 0 is at the bottom and 0.6 at the top."""
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / 0.6


def loss(value: float) -> float:
    """Return the height of a loss, from a tenth to ten."""
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(max(value, 0.1)) + 1) / 2


def line(points: Sequence[tuple[float, float]], colour: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def draw(rows: Sequence[dict[str, float]]) -> str:
    """Return the picture."""
    longest = max(row["minutes"] for row in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12">',
        "<style>text { font-family: sans-serif }</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for value in (0.0, 0.2, 0.4, 0.6):
        y = share(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{y + 4}" fill="{COLOURS["held_out"]}">{value:.0%}</text>')
    for value in LOSSES:
        parts.append(f'<text x="8" y="{loss(value) + 4:.1f}" fill="{COLOURS["loss"]}">{value:g}</text>')
    for minutes in range(0, int(longest) + 1, 10):
        parts.append(f'<text x="{across(minutes, longest) - 6:.1f}" y="{HEIGHT - 24}" fill="#333">{minutes}</text>')
    for key, height, width in (("loss", loss, 1.2), ("right", share, 1.2), ("held_out", share, 2.4)):
        points = [(across(row["minutes"], longest), height(row[key])) for row in rows if key in row]
        if points:
            parts.append(line(points, COLOURS[key], width))
    for number, (key, text) in enumerate(SAID.items()):
        x = 8 + number * 252
        parts.append(f'<text x="{x}" y="14" fill="{COLOURS[key]}">{text}</text>')
    parts.append(f'<text x="{WIDTH / 2 - 60}" y="{HEIGHT - 8}" fill="#333">minutes of training</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    log, picture = map(Path, sys.argv[1:3])
    picture.write_text(draw(read(log)), encoding="utf-8")


if __name__ == "__main__":
    main()
