"""How measured numbers are written for people, in reports as on the dashboard."""

import math

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


def percent(share: float | None) -> str:
    """Write a share: 0.9712 is `97.1%`."""
    return NOTHING if share is None else f"{signed(100 * share, 1)}%"


def decimal(value: float | None) -> str:
    """Write a measured number with four significant digits: 0.51234 is `0.5123`."""
    if value is None or math.isnan(value):
        return NOTHING
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}".replace("-", MINUS)
    text = signed(value, max(0, 4 - len(str(int(abs(value)))) if abs(value) >= 1 else 4))
    return text.rstrip("0").rstrip(".") if "." in text else text


def seconds(value: float | None) -> str:
    """Write how long something took: 0.034 is `34 ms`, 75 is `1 min 15 s`."""
    if value is None:
        return NOTHING
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{decimal(round(value, 1))} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: `1 sample`, `1,204 samples`, `3 classes`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def signed(value: float, digits: int) -> str:
    """Write a number with a true minus sign; what rounds to zero has none."""
    text = f"{value:,.{digits}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) else text.lstrip("-")
