"""Finds the unlearning methods by scanning a folder and describes them for the catalogue."""

import importlib
import pkgutil
from collections.abc import Mapping

from workers.unlearning.base import Json, Method
from workers.unlearning.errors import MethodClashError, UnknownMethodError
from workers.unlearning.parameters import schema
from workers.unlearning.qualification import records_of

METHODS_PACKAGE = "workers.unlearning.methods"


def discover(package: str = METHODS_PACKAGE, *more: str) -> dict[str, Method]:
    """Import every module of the packages and collect their METHODs by name, sorted.

    Raises:
        MethodClashError: a module has no METHOD, or two modules claim one name.
    """
    found: dict[str, Method] = {}
    claimed_by: dict[str, str] = {}
    for folder in (package, *more):
        for module_name in _modules_in(folder):
            method = getattr(importlib.import_module(module_name), "METHOD", None)
            if method is None:
                raise MethodClashError(
                    f"{module_name} must expose METHOD: a methods folder holds methods only"
                )
            if method.name in found:
                raise MethodClashError(
                    f"{claimed_by[method.name]} and {module_name} both claim {method.name!r}: rename one"
                )
            found[method.name] = method
            claimed_by[method.name] = module_name
    return dict(sorted(found.items()))


def find(methods: Mapping[str, Method], name: str) -> Method:
    """Look a method up.

    Raises:
        UnknownMethodError: listing the names there are.
    """
    try:
        return methods[name]
    except KeyError:
        raise UnknownMethodError(f"expected a method among {sorted(methods)}, got {name!r}") from None


def describe(method: Method) -> dict[str, Json]:
    """Write the catalogue row of a method, JSON-able.

    Raises:
        BrokenRecordError: its qualification records cannot be read.
    """
    return {
        "name": method.name,
        "version": method.version,
        "guarantee": method.guarantee.value,
        "kinds": [*sorted(method.kinds)],
        "needs": [*sorted(method.needs)],
        "summary": method.summary,
        "caveats": [*method.caveats],
        "experimental": method.experimental,
        "qualifications": [record.to_json() for record in records_of(method)],
        "parameters": schema(method.Parameters),
    }


def _modules_in(package: str) -> list[str]:
    folder = importlib.import_module(package)
    return sorted(f"{package}.{module.name}" for module in pkgutil.iter_modules(folder.__path__))
