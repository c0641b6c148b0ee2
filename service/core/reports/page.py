"""The report of a run's audits as one page: no script, no link, nothing fetched, everything escaped.

The verdict comes first and says what the guarantee allows, then what was asked and done, what each check
found, what a pass does not mean, and the drawings. The page is a rendering for people of the JSON beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.core.ledger import canonical
from service.core.ledger.claims import Guarantee
from service.core.reports import checks, plots, style, words
from service.core.reports.checks import CheckLine
from service.core.reports.drawing.svg import Drawing, element, escaped
from service.core.reports.numbers import decimal, percent, seconds
from service.core.reports.words import Label

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{inside}
</main>
</body>
</html>
"""

_LIMITS_OF_ALL = (
    "A pass says that these tests found nothing. It does not say that nothing is left: a trace too faint for "
    "so many samples, or an attack that nobody has thought of, is not excluded."
)
_NO_REFERENCE = (
    "No models that never saw the data were at hand. What was forgotten is held against samples that were "
    "never learned: that notices strong traces, and few faint ones."
)
_RESTS_ON: Mapping[str, str] = {
    Guarantee.EXACT: "That a model was retrained without the data rests on how it was made, which an audit "
    "of its answers cannot show. So most checks are only shown here; those that decide look for a training "
    "that went wrong.",
    Guarantee.CERTIFIED: "A proof rests on how a model was made, which an audit of its answers cannot show. "
    "So most checks are only shown here.",
    Guarantee.SUPPRESSED: "The output is masked. What the parameters still hold was not put to the test.",
}


def to_html(document: Mapping[str, Any]) -> str:
    """Return the page of a report, UTF-8."""
    first, *others = document["rungs"]
    audit = first["audit"]
    inside = [
        _head(document, audit),
        _section("What was asked and done", _asked(document) + _steps(first)),
        _section("What the audit found", _checks(checks.lines(audit)) + _numbers(audit)),
        _section("How much this can tell", _power(audit)),
        *(_figure(drawing) for drawing in plots.drawings(audit)),
        *(_other(rung) for rung in others),
        _foot(document, audit),
    ]
    return _PAGE.format(
        policy=POLICY, title=escaped(_title(document)), style=style.of_page(), inside="\n".join(inside)
    )


def _title(document: Mapping[str, Any]) -> str:
    of = f", version {document['version']}" if document["version"] else ""
    return f"Audit report: {document['model']}{of}"


def _head(document: Mapping[str, Any], audit: Mapping[str, Any]) -> str:
    verdict, meaning = words.verdict(audit["verdict"])
    return "\n".join(
        [
            "<header>",
            _p(_title(document), "kind"),
            f"<h1>{escaped(document['statement'])}</h1>",
            f'<p class="verdict">{_state(verdict)} {escaped(meaning)}</p>',
            "</header>",
        ]
    )


def _asked(document: Mapping[str, Any]) -> str:
    asked = words.joined([words.asked(group) for group in document["asked"]]) or "not known"
    rows = [("Model", escaped(document["model"])), ("Asked to forget", escaped(asked))]
    rows.append(("From version", str(document["base_version"])))
    if document["version"] is not None:
        rows.append(("To version", f"{document['version']}, {escaped(str(document['guarantee']))}"))
    return _facts(rows)


def _steps(rung: Mapping[str, Any]) -> str:
    return "".join(map(_step, rung["steps"]))


def _step(step: Mapping[str, Any]) -> str:
    serves = words.SERVES.get(step["kind"], step["kind"])
    named = f"{escaped(words.method(step['method']))} <span>{escaped(serves)}</span>"
    rows = [("Method", f"{_code(step['method'])} {escaped(step['method_version'])}")]
    if step.get("guarantee"):
        rows.append(("Claims", escaped(step["guarantee"])))
    if step.get("seconds") is not None:
        rows.append(("Took", escaped(seconds(step["seconds"]))))
    rows += [
        (escaped(name), _code(canonical.json_bytes(value).decode()))
        for name, value in sorted((step.get("parameters") or {}).items())
    ]
    rows += [("To know", escaped(caveat)) for caveat in step.get("caveats") or ()]
    return f"<h3>{named}</h3>\n{_facts(rows)}"


def _checks(lines: Sequence[CheckLine]) -> str:
    return '<ol class="checks">\n' + "\n".join(map(_check, lines)) + "\n</ol>\n"


def _check(line: CheckLine) -> str:
    spread = line.interval and f"95% interval {decimal(line.interval[0])} to {decimal(line.interval[1])}"
    numbers = {"value": decimal(line.value), "limit": line.limit and f"limit {line.limit}", "spread": spread}
    spans = (element("span", escaped(said), class_=name) for name, said in numbers.items() if said)
    title = f"{escaped(line.title)} {_state(line.outcome)}"
    return (
        f"<li><h3>{title}</h3>{line.bar.draw(line.outcome.tone)}"
        f'<p class="numbers">{"".join(spans)}</p>{_p(line.detail, "detail")}</li>'
    )


def _numbers(audit: Mapping[str, Any]) -> str:
    """Set the few numbers that people compare beside each other, before and after."""
    before, after = audit.get("before") or {}, audit.get("after") or {}
    rows = "".join(
        f'<tr><th scope="row">{escaped(title)} <small>{escaped(meaning)}</small></th>'
        f"<td>{_number(name, before.get(name))}</td><td>{_number(name, after.get(name))}</td></tr>"
        for name, (title, meaning) in words.NUMBERS.items()
        if before.get(name) is not None or after.get(name) is not None
    )
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Number", "Before", "After"))
    return f'<table class="numbers"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>\n'


def _number(name: str, value: float | Mapping[str, Any] | None) -> str:
    if isinstance(value, Mapping):
        return decimal(value["value"])
    return decimal(value) if name == "membership_auc" else percent(value)


def _power(audit: Mapping[str, Any]) -> str:
    said = [_RESTS_ON[audit["claimed"]]] if audit.get("claimed") in _RESTS_ON else []
    groups = (audit.get("reference") or {}).get("groups") or ()
    said += [f"{words.asked_of(group)}: {words.reference(group)}" for group in groups]
    said += [
        words.attack(name, found)
        for group in groups
        for name, found in (group.get("attacks") or {}).items()
        if found and found.get("value") is not None
    ]
    if not groups and not audit.get("resurrection"):
        said.append(_NO_REFERENCE)
    undecided = [line for line in checks.lines(audit) if line.is_undecided]
    said += [f"Could not tell: {line.title} ({line.detail})." for line in undecided]
    return "\n".join(_p(one) for one in (*said, _LIMITS_OF_ALL))


def _figure(drawing: Drawing) -> str:
    return _section(drawing.title, f"<figure>{_p(drawing.lead)}{drawing.inline()}</figure>")


def _other(rung: Mapping[str, Any]) -> str:
    """Tell of a rung that did not decide: its steps, and its checks if it came that far."""
    name = words.joined([words.method(one) for one in rung["methods"]])
    title = f"Attempt {rung['number']}: {name}"
    audit = rung["audit"]
    if not audit:
        return _section(
            title, _p(f"No candidate: {words.readable(rung['failure'] or 'it was not audited')}.")
        )
    verdict, meaning = words.verdict(audit["verdict"])
    told = f"<p>{_state(verdict)} {escaped(meaning)}</p>"
    return _section(title, told + _steps(rung) + _checks(checks.lines(audit)))


def _foot(document: Mapping[str, Any], audit: Mapping[str, Any]) -> str:
    rows = [("Suite", _code(audit["suite"])), ("Seed", _code(document["seed"]))]
    if audit.get("seconds") is not None:
        rows.append(("Audit took", escaped(seconds(audit["seconds"]))))
    rows += [
        (f"Limit {escaped(words.readable(name))}", escaped(decimal(value)))
        for name, value in sorted((audit.get("limits") or {}).items())
    ]
    note = (
        "This page is a rendering of <code>audit.json</code>, which a published version carries beside its "
        "weights. The certificate of each request lists the digests of both: check it with "
        "<code>lethe verify</code>. No sample and no person is named here."
    )
    return f"<footer><h2>Suite, seed and limits</h2>{_facts(rows)}<p>{note}</p></footer>"


def _section(title: str, markup: str) -> str:
    return f"<section><h2>{escaped(title)}</h2>\n{markup}</section>"


def _facts(rows: Iterable[tuple[str, str]]) -> str:
    """Set names beside values; both are markup already."""
    return element("dl", "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows))


def _state(label: Label) -> str:
    return element("strong", escaped(label.text), class_=f"state {label.tone}")


def _p(said: str, class_: str | None = None) -> str:
    return element("p", escaped(said), class_=class_)


def _code(said: str) -> str:
    return element("code", escaped(said))
