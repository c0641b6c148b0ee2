"""A certificate as one printable page: no script, no link, nothing fetched, everything escaped.

The page is a rendering for people. The evidence is the signed file it was made from.
"""

from collections.abc import Iterable
from html import escape

from service.core.ledger import canonical, claims

_STYLE = """
:root { color-scheme: light dark; }
:root { --ink: #1c2430; --soft: #5b6675; --line: #d9dee6; --paper: #fff; --mark: #1f6f5c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf1; --soft: #9aa6b4; --line: #313b47; --paper: #14191f; --mark: #6fd0b5; }
}
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --mark: #000; }
  @page { margin: 18mm; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 Georgia, serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
h1 { margin: 0; color: var(--soft); font-size: 1rem; font-weight: normal; letter-spacing: .06em; }
h2 { font-size: 1rem; margin: 2rem 0 .4rem; break-after: avoid; }
.statement { margin: .8rem 0 0; padding-left: .9rem; border-left: 3px solid var(--mark); font-size: 1.45rem; }
.statement { line-height: 1.35; }
.wide { overflow-x: auto; margin-top: 1rem; }
small { color: var(--soft); }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); }
th, td { text-align: left; vertical-align: top; }
th { font-weight: normal; color: var(--soft); white-space: nowrap; }
.facts th { width: 11rem; }
@media (max-width: 32rem) { .facts th { width: 7rem; white-space: normal; } }
.facts td { overflow-wrap: anywhere; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .85em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
tr { break-inside: avoid; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .85rem; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Certificate for {model}, version {version}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>Certificate of a deletion request</h1>
<p class="statement">{statement}</p>
<h2>Request</h2>
{request}
<h2>Method</h2>
{method}
<h2>Audit</h2>
{audit}
<h2>Files of version {version}</h2>
{files}
<footer>This page is a rendering. The evidence is the signed file it was made from, together with its proof
of inclusion in the ledger: check both with <code>lethe verify</code>. The request is named by a
pseudonym.</footer>
</main>
</body>
</html>
"""


def to_html(claim: claims.Claim) -> str:
    """The page of one certificate, UTF-8."""
    return _PAGE.format(
        style=_STYLE,
        model=escape(claim.model),
        version=claim.version,
        statement=escape(claim.statement),
        request=_facts(
            [
                ("Request", _code(claim.request)),
                ("Asked to forget", escape(_target(claim.target))),
                ("Received", _time(canonical.time_text(claim.received_at))),
                ("Completed", _time(canonical.time_text(claim.completed_at))),
                ("Model", escape(claim.model)),
                ("Version", f"{claim.version}, made from version {claim.base_version}"),
            ]
        ),
        method=_method(claim.method),
        audit=_audit(claim.audit) + _acceptance(claim.acceptance),
        files=_facts((escape(file.name), _code(file.sha256)) for file in claim.files),
    )


def _method(method: claims.Method) -> str:
    rows = [
        ("Method", escape(f"{method.name} {method.version}")),
        ("Guarantee", escape(method.guarantee)),
        ("Seed", _code(str(method.seed))),
    ]
    rows += [
        (escape(name), _code(canonical.json_bytes(value).decode()))
        for name, value in sorted(method.parameters.items())
    ]
    rows += [("Caveat", escape(caveat)) for caveat in method.caveats]
    return _facts(rows)


def _audit(audit: claims.Audit) -> str:
    summary = _facts([("Suite", escape(audit.suite)), ("Verdict", escape(audit.verdict))])
    head = "<tr><th>Check</th><th>Value</th><th>Interval</th><th>Limit</th><th>Result</th></tr>"
    rows = "\n".join(_check(check) for check in audit.checks)
    return f'{summary}\n<div class="wide"><table>\n{head}\n{rows}\n</table></div>'


def _acceptance(accepted: claims.Acceptance | None) -> str:
    if accepted is None:
        return ""
    rows = [
        ("Accepted by", _code(accepted.by)),
        ("Reason", escape(accepted.reason)),
        ("At", escape(accepted.at)),
    ]
    return f"\n<h2>Accepted by a person</h2>\n{_facts(rows)}"


def _outcome(check: claims.Check) -> str:
    if check.role is claims.Role.SHOWN:
        return "shown only"
    if check.role is claims.Role.UNDECIDED:
        return "could not tell"
    return "passed" if check.passed else "not passed"


def _check(check: claims.Check) -> str:
    has_interval = check.low is not None and check.high is not None
    interval = f"{_number(check.low)} to {_number(check.high)}" if has_interval else ""
    cells = (_number(check.value), interval, _number(check.threshold))
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    name = (
        f"{escape(check.name)}<br><small>{escape(check.detail)}</small>"
        if check.detail
        else escape(check.name)
    )
    return f"<tr><td>{name}</td>{numbers}<td>{_outcome(check)}</td></tr>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _target(target: claims.Target) -> str:
    noun = "sample" if target.num_samples == 1 else "samples"
    return f"{target.num_samples} {noun} ({target.kind} request)"


def _facts(rows: Iterable[tuple[str, str]]) -> str:
    """A two-column table; both cells are HTML already."""
    lines = "\n".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f'<table class="facts">\n{lines}\n</table>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _time(text: str) -> str:
    """To the second, as people read it."""
    return f"{text[:10]} {text[11:19]} UTC"
