"""The references of a version in the store: the bank, and what models that never saw a class showed.

Whatever learned from what is forgotten is left behind: of the bank the members that did, of the class
references all but one that was made without that very class. An empty bank, and no references, have no file.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from workers.audit.reference.bank import ReferenceBank
from workers.audit.resurrection.references import ClassReferences
from workers.engine.messages import StoredFile
from workers.engine.operations.target import Positions
from workers.engine.workbench import BANK, CLASS_REFERENCES, Workbench


@dataclass(frozen=True, eq=False)
class References:
    """What a version's audits compare with.

    Attributes:
        bank: None without any member.
        by_class: of models that never saw a class.
        files: in which they lie.
    """

    bank: ReferenceBank | None
    by_class: ClassReferences
    files: tuple[StoredFile, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """What people are told of them."""
        return {
            "members": len(self.bank) if self.bank is not None else 0,
            "classes": sorted(each.label for each in self.by_class.references),
        }


def keep(bench: Workbench, bank: ReferenceBank | None, by_class: ClassReferences) -> References:
    """Store references; the same ones have the same files."""
    files = []
    if bank is not None and len(bank):
        files.append(bench.keep(BANK, bank.to_tensors()))
    else:
        bank = None
    if len(by_class):
        files.append(bench.keep_json(CLASS_REFERENCES, {"references": by_class.to_json()}))
    return References(bank, by_class, tuple(files))


def read(bench: Workbench, files: Sequence[StoredFile]) -> tuple[ReferenceBank | None, ClassReferences]:
    """Return the references among a version's files."""
    return bench.bank(files), bench.class_references(files) or ClassReferences()


def keep_without(
    bench: Workbench, files: Sequence[StoredFile], gone: Positions, classes: Collection[int]
) -> References:
    """Store what is left of a version's references.

    Args:
        bench: The model.
        files: Of the version that still knew.
        gone: All rows that are forgotten now, training or held out.
        classes: The classes that are forgotten now; empty where single samples are.
    """
    bank, by_class = read(bench, files)
    return keep(bench, bank.without(gone) if bank is not None else None, by_class.without(classes))
