"""Tasks of Self-Instruct: an instruction with several inputs and outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backstay.library.canonical_json import is_same_json
from backstay.library.imports.import_row import ImportRow, Values
from backstay.library.imports.shape import Shape
from backstay.library.imports.shapes.alpaca import read_pair
from backstay.library.record import Document


class SelfInstructShape(Shape):
    """An `instruction` with `instances`, each of which becomes a conversation."""

    label = "instruction and instances (Self-Instruct)"
    keys = ("instances",)
    rank = 3

    def find(self, values: Mapping[str, Any]) -> Sequence[str]:
        instances = values.get("instances")
        are_pairs = isinstance(instances, list) and all(
            isinstance(each, dict) and "output" in each for each in instances
        )
        return ["instances"] if instances and are_pairs and isinstance(values.get("instruction"), str) else []

    def read(self, row: ImportRow, name: str) -> list[Document]:
        instances = list(enumerate(row.values.pop(name), start=1))
        documents = [read_pair(_with_instance(row, instance, number), "output") for number, instance in instances]
        if len(documents) > 1 and documents[0]["id"] is not None:
            return [{**each, "id": f"{each['id']}-{number}"} for number, each in enumerate(documents, start=1)]
        return documents


def _with_instance(row: ImportRow, instance: Values, number: int) -> ImportRow:
    """Return the row with the values of an instance. Raises InvalidRow if both have a key, with different values."""
    repeated = [key for key in instance if key in row.values and not is_same_json(instance[key], row.values[key])]
    if repeated:
        raise row.error(f"the task and its instance {number} have different values for {repeated[0]!r}; rename one")
    return replace(row, values={**row.values, **instance})
