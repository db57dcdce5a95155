"""Colours of the page and of its pictures: equal, distinct for colour-blind readers, and readable."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from jobs.report import page
from jobs.report.chart_theme import INK, LIGHT, NAMES, SERIES

# Machado, Oliveira and Fernandes 2009, severity 1: what is left of linear RGB without one kind of cone.
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritan": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])


OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(colour: str, blindness: str) -> np.ndarray:
    """Returns the colour in OKLab as a person with that kind of colour-blindness sees it."""
    return OKLAB @ np.cbrt(CONES @ np.clip(BLINDNESS[blindness] @ linear(colour), 0, 1))


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def themes() -> dict[str, dict[str, str]]:
    """Returns the style sheet's variables, in light and in dark."""
    style = (Path(page.__file__).parent / "page.css").read_text()
    parts = re.findall(r":root\{(.*?)\}", style, re.DOTALL)
    return dict(zip(("light", "dark"), (dict(re.findall(r"--(\w+):(#\w{6})", part)) for part in parts), strict=True))


def test_the_page_and_the_pictures_have_the_same_light_colours() -> None:
    assert {name: themes()["light"][name] for name in NAMES} == dict(LIGHT.colours)
    assert set(NAMES) <= set(themes()["dark"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_differ_for_the_colour_blind_and_names_in_them_can_be_read(scheme: str) -> None:
    colours = themes()[scheme]
    series = [colours[name] for name in (INK, *(f"s{i}" for i in range(SERIES)))]
    for blindness in BLINDNESS:
        for one, other in combinations(series, 2):
            assert np.linalg.norm(seen(one, blindness) - seen(other, blindness)) > 0.085, (blindness, one, other)
    assert min(contrast(colour, colours["paper"]) for colour in [*series, colours["muted"]]) >= 4.5
