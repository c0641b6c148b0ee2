"""Text can be read on every ground it stands on: WCAG 2.2 contrast of 4.5, by day, by night, on paper."""

import re

import pytest

from service.core.reports.style import FOLDER

TEXTS = ("ink", "soft", "river", "moss", "amber", "poppy")
GROUNDS = ("paper", "sheet")
PAIRS = [
    *((text, ground) for text in TEXTS for ground in GROUNDS),
    *((text, "poppy-mist") for text in ("ink", "soft", "river", "amber", "poppy")),
    ("ink", "amber-mist"),
    ("paper", "river"),
]
CONTRAST = 4.5


def palettes() -> dict[str, dict[str, str]]:
    """The colours by name, as the style sheet declares them for light, for dark and for print."""
    parts = re.split(r"@media [^{]*\{", (FOLDER / "palette.css").read_text())
    return {
        name: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part))
        for name, part in zip(("day", "night", "paper"), parts, strict=True)
    }


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["day", "night", "paper"])
def test_every_text_has_contrast_on_its_ground(scheme: str) -> None:
    colours = palettes()[scheme]

    for text, ground in PAIRS:
        darker, lighter = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (lighter + 0.05) / (darker + 0.05) >= CONTRAST, (text, ground)
