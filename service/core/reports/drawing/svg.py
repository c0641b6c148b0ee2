"""Writes SVG: elements whose every text and attribute is escaped, and a drawing with its title around them.

Vocabulary: *markup* is text that was escaped already; everything else goes through `text` or an attribute.
A drawing is as wide as what it stands in: places across are per cent, places down are pixels. A *stretch* is
a part whose inside is stretched to its place, for curves and areas; lines in it keep their width.
Style is left to a sheet (`static/`), because a page may forbid styles inside of it.
"""

import html
import re
import textwrap
from dataclasses import dataclass

STANDALONE_WIDTH = 760
"""Of a drawing that is a file of its own, in pixels."""
MARGIN = 20
LINE = 17
LINE_CHARS = 108
"""About as many fit beside each other there."""

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold."""


@dataclass(frozen=True)
class Drawing:
    """A drawing, ready to be put into a page or to be a file.

    Attributes:
        name: Short, of letters; unique among the drawings of a page.
        title: What it shows, in a few words.
        lead: How to read it, in a sentence or two.
        description: What is seen, for those who cannot.
        height: In pixels.
        markup: The inside.
    """

    name: str
    title: str
    lead: str
    description: str
    height: int
    markup: str

    def inline(self) -> str:
        """Return it for a page that has the style sheets and says title and lead itself."""
        return element(
            "svg", self._told + self.markup, class_=f"drawing {self.name}", width="100%", height=self.height,
            role="img", aria_label=self.title, focusable="false",
        )  # fmt: skip

    def standalone(self, style: str) -> str:
        """Return it as a file: with its title on it, its own ground, and style sheets inside."""
        lead = textwrap.wrap(self.lead, LINE_CHARS)
        top = 34 + LINE * (len(lead) + 1)
        width, height = STANDALONE_WIDTH, top + self.height + MARGIN
        inside = element(
            "svg", self.markup, x=MARGIN, y=top, width=width - 2 * MARGIN, height=self.height,
            overflow="visible", aria_hidden="true",
        )  # fmt: skip
        head = text(self.title, x=MARGIN, y=32, class_="heading") + "".join(
            text(line, x=MARGIN, y=36 + LINE * place) for place, line in enumerate(lead, start=1)
        )
        return element(
            "svg",
            self._told
            + element("style", style)
            + element("rect", class_="ground", width="100%", height="100%")
            + head
            + inside,
            xmlns="http://www.w3.org/2000/svg",
            class_=f"drawing {self.name}",
            width=width,
            height=height,
            viewBox=f"0 0 {width} {height}",
            role="img",
            aria_label=self.title,
        )

    @property
    def _told(self) -> str:
        return element("title", escaped(self.title)) + element("desc", escaped(self.description))


def element(name: str, markup: str = "", /, **attributes: str | float | None) -> str:
    """Write an element; `class_` is `class`, `stroke_width` is `stroke-width`, None is left out."""
    written = "".join(
        f' {_attribute(key)}="{escaped(value if isinstance(value, str) else _number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{markup}</{name}>" if markup else f"<{name}{written}/>"


def text(content: str, **attributes: str | float | None) -> str:
    """Write text at a place."""
    return element("text", escaped(content), **attributes)


def across(place: float) -> str:
    """Write a place or a length across."""
    return f"{_number(place)}%"


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """Draw a line; across in per cent, down in pixels."""
    return element("line", class_=class_, x1=across(x1), y1=y1, x2=across(x2), y2=y2)


def rect(x: float, y: float, width: float, height: float, class_: str, **more: str | float | None) -> str:
    """Draw a rectangle; across in per cent, down in pixels."""
    return element("rect", class_=class_, x=across(x), y=y, width=across(width), height=height, **more)


def dot(x: float, y: float, class_: str, radius: float = 4.5) -> str:
    """Draw a dot; across in per cent, down in pixels."""
    return element("circle", class_=class_, cx=across(x), cy=y, r=radius)


def diamond(x: float, y: float, class_: str, reach: float = 5.5) -> str:
    """Draw a diamond; across in per cent, down in pixels."""
    way = f"M0 {-reach} L{reach} 0 L0 {reach} L{-reach} 0 Z"
    return element(
        "svg", element("path", class_=class_, d=way), x=across(x), y=y, overflow="visible", width=1, height=1,
        aria_hidden="true",
    )  # fmt: skip


def stretch(x: float, y: float, width: float, height: float, markup: str) -> str:
    """Stretch markup drawn on a field of 100 by 100 to a place; across in per cent, down in pixels."""
    return element(
        "svg", markup, x=across(x), y=y, width=across(width), height=height, viewBox="0 0 100 100",
        preserveAspectRatio="none", overflow="visible", aria_hidden="true",
    )  # fmt: skip


def path(points: str, class_: str) -> str:
    """Draw a path in a stretch; its line keeps its width."""
    return element("path", class_=class_, d=points, vector_effect="non-scaling-stroke")


def escaped(content: str) -> str:
    """Return text as markup, without what XML forbids."""
    return html.escape(_ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", content))


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _number(value: float) -> str:
    return f"{round(value, 2):g}"
