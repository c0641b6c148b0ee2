"""A file of sample ids: one a line, as `lethe forget --from` reads it.

The file is UTF-8; its last line may lack its end, lines may end as Windows ends them, and empty lines are
passed over. An id is everything else on its line. What may be a slip is refused and not mended: another id
would be forgotten, or none. A message names the line and never what stands there, for that may name a person.
"""

from collections.abc import Iterable

from lethe.client import LetheError

MAX_IDS = 100_000
MAX_CHARS = 512
BYTE_ORDER_MARK = "\ufeff"


def read(lines: Iterable[bytes], name: str) -> list[str]:
    """Return the ids in a file, in its order.

    Args:
        lines: The file's lines.
        name: What messages call it.

    Raises:
        LetheError: A line is no id, or there are none, or more than one request may name.
    """
    found: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            told = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise _refused(name, number, "text in UTF-8") from error
        told = told.removeprefix(BYTE_ORDER_MARK) if number == 1 else told
        if not told:
            continue
        if told != told.strip():
            raise _refused(name, number, "an id without spaces before or after it")
        if not told.isprintable():
            raise _refused(name, number, "an id without control characters, such as tabs")
        if len(told) > MAX_CHARS:
            raise _refused(name, number, f"an id of at most {MAX_CHARS} characters, not {len(told)}")
        if len(found) == MAX_IDS:
            raise _refused(
                name, number, f"the end, for a request names at most {MAX_IDS} ids: split the file"
            )
        found.append(told)
    if not found:
        raise LetheError(f"{name} was expected to hold a sample id on each line, and holds none.")
    return found


def _refused(name: str, number: int, expected: str) -> LetheError:
    return LetheError(f"Line {number} of {name} was expected to be {expected}. Nothing was sent.")
