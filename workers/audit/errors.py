"""Why an audit cannot be run."""


class AuditError(Exception):
    """The audit cannot be run on what it was given; final."""

    code = "audit_impossible"
    is_retryable = False
