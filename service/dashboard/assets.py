"""Style, script and icon, and the sheets of reports: asked about at each visit, sent only when changed."""

import os
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.core.reports import style

FOLDER = Path(__file__).parent / "static"
REVALIDATE = "no-cache"


class Assets(StaticFiles):
    """Files that a browser may keep but must ask about, so that an upgrade shows at once."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER, packages=[("service.core.reports", style.FOLDER.name)])

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file, or 304 when the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = REVALIDATE
        return response
