"""What can go wrong while a model forgets, and whether trying again can help.

Every error here is raised on purpose and speaks without personal data: a sample is named by its position in
the manifest, a class by its number. `code` is stable and may be stored; `is_retryable` says whether the
same run can succeed later on (the job layer obeys it).
"""

from typing import ClassVar


class UnlearningError(Exception):
    """A model could not be made to forget."""

    code: ClassVar[str] = "unlearning_failed"
    is_retryable: ClassVar[bool] = False


class ImpossibleRequestError(UnlearningError):
    """The request itself leaves nothing to forget, or nothing to keep."""

    code: ClassVar[str] = "impossible_request"


class MissingNeedError(UnlearningError):
    """The method needs something (codes, Fishers, held-out data) that this model does not have."""

    code: ClassVar[str] = "missing_need"


class UnsupportedKindError(UnlearningError):
    """The method cannot serve this kind of request."""

    code: ClassVar[str] = "unsupported_kind"


class ParametersError(UnlearningError):
    """A method's parameters are unknown, ill-typed, out of range or contradict each other."""

    code: ClassVar[str] = "invalid_parameters"


class IneffectiveError(UnlearningError):
    """No admissible strength changes any weight, so there is no forgotten model to publish."""

    code: ClassVar[str] = "ineffective"


class BudgetSpentError(UnlearningError):
    """What a proof allows has been used up; the model must be retrained, which starts it anew."""

    code: ClassVar[str] = "budget_spent"


class DivergedError(UnlearningError):
    """The method returned weights that are not finite, or not the weights of this architecture."""

    code: ClassVar[str] = "diverged"


class DeviceMemoryError(UnlearningError):
    """Memory ran out; the run may succeed when the device is less busy."""

    code: ClassVar[str] = "out_of_memory"
    is_retryable: ClassVar[bool] = True


class MethodClashError(UnlearningError):
    """Two files claim the same method name, or a file in the methods folder is no method."""

    code: ClassVar[str] = "method_clash"


class UnknownMethodError(UnlearningError):
    """No method of this name was found."""

    code: ClassVar[str] = "unknown_method"


class BrokenRecordError(UnlearningError):
    """A file of qualification records cannot be read."""

    code: ClassVar[str] = "broken_qualification_record"
