"""Make the console's world map: `python make_world_map.py countries-110m.json countries-50m.json > world.svg`.

The two files are those of the npm package world-atlas 2.0.2: the country borders of Natural Earth 4.1, in the public
domain, as TopoJSON. Names and codes of countries come from the package pycountry, which this script alone needs.
Countries of the first file become paths in the projection Equal Earth; smaller ones, of the second file alone, points.
"""

from __future__ import annotations

import json
import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

WIDTH = 960
A = (1.340264, -0.081106, 0.000893, 0.003796)
LEFT_OUT = {"010"}  # Antarctica: it would take a quarter of the height
ABOUT = "Natural Earth 4.1, public domain, from world-atlas 2.0.2; projection Equal Earth. See tests/support."

Point = tuple[float, float]


def project(longitude: float, latitude: float) -> Point:
    """Equal Earth (Šavrič, Patterson, Jenny 2018), scaled to WIDTH, with y downwards."""
    lambda_, phi = math.radians(longitude), math.radians(latitude)
    theta = math.asin(math.sqrt(3) / 2 * math.sin(phi))
    slope = 9 * A[3] * theta**8 + 7 * A[2] * theta**6 + 3 * A[1] * theta**2 + A[0]
    x = 2 * math.sqrt(3) * lambda_ * math.cos(theta) / (3 * slope)
    y = A[3] * theta**9 + A[2] * theta**7 + A[1] * theta**3 + A[0] * theta
    scale = WIDTH / (2 * 2.70663)
    return WIDTH / 2 + x * scale, (1.317 - y) * scale


def decode_arcs(topology: dict[str, Any]) -> list[list[Point]]:
    (kx, ky), (dx, dy) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for step_x, step_y in arc:
            x, y = x + step_x, y + step_y
            points.append((x * kx + dx, y * ky + dy))
        arcs.append(points)
    return arcs


def rings(geometry: dict[str, Any], arcs: list[list[Point]]) -> list[list[Point]]:
    polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry["arcs"]
    return [part for polygon in polygons for ring in polygon for part in cut(join(ring, arcs))]


def cut(ring: list[Point]) -> list[list[Point]]:
    """A ring that crosses the date line, as parts on both sides of it."""
    turned, turns = [ring[0]], 0
    for (before, _), (longitude, latitude) in pairwise(ring):
        turns += (before - longitude > 180) - (longitude - before > 180)
        turned.append((longitude + 360 * turns, latitude))
    if not any(abs(longitude) > 180 for longitude, _ in turned):
        return [turned]
    moved = [[(x + move, y) for x, y in turned] for move in (-360, 0, 360)]
    return [part for one in moved if (part := beside(beside(one, 180, 1), -180, -1))]


def beside(ring: list[Point], line: float, side: int) -> list[Point]:
    """The part of a ring on one side of a meridian."""
    found: list[Point] = []
    for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]] if ring else []):
        if (x1 - line) * side <= 0:
            found.append((x1, y1))
        if (x1 - line) * (x2 - line) < 0:
            found.append((line, y1 + (y2 - y1) * (line - x1) / (x2 - x1)))
    return found


def join(ring: list[int], arcs: list[list[Point]]) -> list[Point]:
    points: list[Point] = []
    for index in ring:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        points += arc[1:] if points else arc
    return points


def path_of(ring: list[Point]) -> str:
    """A closed path with one digit behind the point; points that fall together are left out."""
    found: list[str] = []
    for point in ring:
        x, y = (f"{value:.1f}".removesuffix(".0") for value in project(*point))
        if not found or found[-1] != f"{x} {y}":
            found.append(f"{x} {y}")
    return f"M{'L'.join(found)}Z" if len(found) > 3 else ""


def centre(found: list[list[Point]]) -> Point:
    largest = max(found, key=len)
    return sum(x for x, _ in largest) / len(largest), sum(y for _, y in largest) / len(largest)


def main(small: str, middle: str) -> None:
    import pycountry

    countries: dict[str, str] = {}
    for name, as_path in ((small, True), (middle, False)):
        topology = json.loads(Path(name).read_text())
        arcs = decode_arcs(topology)
        for geometry in topology["objects"]["countries"]["geometries"]:
            known = pycountry.countries.get(numeric=geometry.get("id", ""))
            if known is None or known.numeric in LEFT_OUT or known.alpha_2 in countries:
                continue
            found = rings(geometry, arcs)
            shown = getattr(known, "common_name", known.name).partition(",")[0]
            start = f'id="{known.alpha_2}" data-name="{shown}"'
            if as_path:
                countries[known.alpha_2] = f'<path {start} d="{"".join(map(path_of, found))}"/>'
            else:
                x, y = project(*centre(found))
                countries[known.alpha_2] = f'<circle {start} cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    height = round(project(0, -58)[1])
    elements = "\n".join(element for _, element in sorted(countries.items()))
    box = f'viewBox="0 0 {WIDTH} {height}"'
    group = '<g fill="#8a94a0" fill-opacity=".28">'  # seen on a light page and on a dark one
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>\n<!-- {ABOUT} -->\n{group}'
    sys.stdout.write(f"{head}\n{elements}\n</g>\n</svg>\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
