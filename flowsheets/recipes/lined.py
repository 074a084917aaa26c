"""What does a YAML text hold, and in which line? Plain data, its mappings with the lines of their keys."""

from __future__ import annotations

import re
from typing import Any

from titer.numerics.errors import SpecificationError

_SCALARS = {  # YAML 1.2's: 1e-3 is a number, NO and 12:30 are texts
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?\d+"),
    "float": re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
}


class Entries(dict[Any, Any]):
    """A mapping of a file, with the line of each key and of itself."""

    lines: dict[Any, int]
    line: int


def loaded(text: str, name: str) -> Any:
    """The data of a text; `name` is what errors call it. Raises SpecificationError, with the line."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: Any = {}

    for kind, pattern in _SCALARS.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"(?:{pattern.pattern})$"), None)
    Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
    Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value.replace(".inf", "inf")))

    def mapping(loader: Any, node: Any) -> Entries:
        found = Entries()
        found.lines, found.line = {}, node.start_mark.line + 1
        for key_node, value_node in node.value:
            key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, str | int | float):
                raise SpecificationError(f"{name}, line {line}: expected a text as key, got {key!r}.")
            if key in found:
                raise SpecificationError(f"{name}, line {line}: {key} stands twice, first in line {found.lines[key]}.")
            found[key], found.lines[key] = loader.construct_object(value_node, deep=True), line
        return found

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise SpecificationError(f"{name}{where}: this is no YAML: {getattr(error, 'problem', error)}.") from None
