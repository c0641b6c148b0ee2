"""Renders templates. Whatever a template is given is escaped when it is written out."""

import functools
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request

from service.core.access.service import Principal
from service.dashboard import figures, words

PREFIX = "/dashboard"


@dataclass(frozen=True)
class Frame:
    """What stands around a page's live part.

    Attributes:
        title: Of the window.
        principal: Who looks; None when nobody is signed in.
        etag: Version of the live part; None when the page does not change by itself.
    """

    title: str
    principal: Principal | None = None
    etag: str | None = None


def root_of(request: Request) -> str:
    """Return the path that every link of the dashboard begins with."""
    return f"{request.scope.get('root_path', '')}{PREFIX}"


def part(request: Request, template: str, now: datetime, **values: object) -> Markup:
    """Render what is inside a page's frame."""
    text = _environment().get_template(template).render(root=root_of(request), now=now, **values)
    return Markup(text)  # noqa: S704 - the template escaped what it was given


def framed(request: Request, inner: Markup, frame: Frame) -> str:
    """Render a whole page around its inside."""
    path = request.url.path.removeprefix(root_of(request))
    return (
        _environment()
        .get_template("frame.html")
        .render(root=root_of(request), path=path, inner=inner, frame=frame)
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("service.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (
        figures.age,
        figures.clock_time,
        figures.counted,
        figures.day,
        figures.days_left,
        figures.decimal,
        figures.moment,
        figures.percent,
        figures.seconds,
        figures.size,
        figures.took,
        words.headline,
        words.reason,
        words.status,
    ):
        environment.filters[write.__name__] = write
    return environment
