"""Go's values as templates see them: fields, truth, printing.

wire document ──┐ field: attribute by its JSON key, in any case (Go's names and keys differ only so)
JSON object  ───┤        key; a missing one is an error when it looks like a field, <no value> like a map's key
Row (tables) ───┘        what the table defines
"""

from __future__ import annotations

from sampan.templates.syntax import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Row:
    """A line of a table: its fields by name; a field may be a function of template arguments."""

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.kind, self.fields = kind, fields


class Missing:
    """What a map has under a key that is not there."""

    def __bool__(self) -> bool:
        return False


class NilList(list[object]):
    """A nil slice: empty, and null in JSON."""


class NilMap(dict[str, object]):
    """A nil map: empty, and null in JSON."""


MISSING = Missing()


def field(value: Any, name: str) -> Any:
    """Return field `name` of `value`. Raises TemplateError."""
    if isinstance(value, Row):
        if name not in value.fields:
            raise TemplateError(f'executing "" at <.{name}>: can\'t evaluate field {name} in type {value.kind}')
        return value.fields[name]
    if isinstance(value, dict):
        return _key(value, name)
    if hasattr(value, "__struct_fields__"):
        return _attribute(value, name)
    if value is None or value is MISSING:
        raise TemplateError(f'executing "" at <.{name}>: nil pointer evaluating interface {{}}.{name}')
    raise TemplateError(f'executing "" at <.{name}>: can\'t evaluate field {name} in type {kind(value)}')


def truth(value: Any) -> bool:
    """Return Go's truth: whatever is not zero, empty or nil. A document that is there is true."""
    return True if hasattr(value, "__struct_fields__") or isinstance(value, Row) else bool(value)


def show(value: Any, inner: bool = False) -> str:
    """Return `value` as Go's fmt prints it with %v."""
    if value is None:
        return "<nil>"
    if value is MISSING:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(value[key], True)}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(show(item, True) for item in value) + "]"
    if hasattr(value, "__struct_fields__"):
        return "{" + " ".join(show(_typed(value, name), True) for name in value.__struct_fields__) + "}"
    return str(value)


def to_json(value: Any) -> str:
    """Return `value` as JSON in one line; a row is an object of its fields, sorted."""
    if isinstance(value, NilList | NilMap | Missing):
        return "null"
    if isinstance(value, Row):
        fields = {name: item for name, item in sorted(value.fields.items()) if not callable(item)}
        return _escaped(to_json(fields))
    if hasattr(value, "__struct_fields__"):
        from sampan.wire.codec import encode

        return encode(value).decode()
    import json

    def default(item: Any) -> Any:
        return json.loads(to_json(item))

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default)


def _escaped(text: str) -> str:
    """Return JSON with what HTML would mind escaped, as Go writes what has a marshaller of its own."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def kind(value: Any) -> str:
    """Return the name of a value's type for messages."""
    names = {str: "string", bool: "bool", int: "int", float: "float64"}
    return names.get(type(value), type(value).__name__)


def _key(value: dict[str, Any], name: str) -> Any:
    if name in value:
        return value[name]
    for key in value:
        if key.lower() == name.lower():
            return value[key]
    if name[:1].isupper() and not isinstance(value, NilMap):
        raise TemplateError(f'executing "" at <.{name}>: map has no entry for key "{name}"')
    return MISSING


def _attribute(value: Any, name: str) -> Any:
    for attribute, key in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
        if key.lower() == name.lower():
            return _typed(value, attribute)
    raise TemplateError(f'executing "" at <.{name}>: map has no entry for key "{name}"')


def _typed(value: Any, attribute: str) -> Any:
    """Return an attribute, with None turned into what its Go type has for nil."""
    item = getattr(value, attribute)
    if item is None:
        declared = next(c.__annotations__[attribute] for c in type(value).__mro__ if attribute in c.__annotations__)
        if declared.startswith(("list", "StrSlice")):
            return NilList()
        if declared.startswith("dict"):
            return NilMap()
    return item


def _float(value: float) -> str:
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)
