"""Lists as docker prints them: a table, a table of a template, a template per line, or JSON per line.

A listing names its fields: heading and function of an item. `--format` picks among them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Field = tuple[str, Callable[[Any], Any]]


class Listing:
    """`fields` by Go's name; `table` is the default template, `kind` the type's name in messages."""

    def __init__(self, fields: Mapping[str, Field], table: str, kind: str = "*formatter.Context") -> None:
        self.fields, self.table, self.kind = fields, table, kind

    def render(self, items: Iterable[Any], form: str = "") -> str:
        """Return the text for `items` in format `form` ("" is the default table). Raises InvalidArgument."""
        template, is_table = self._template(form)
        if is_table and self._is_plain(template):
            return self._columns(items, template)
        return self._executed(items, template, is_table)

    def _template(self, form: str) -> tuple[str, bool]:
        if form in ("", "table"):
            return self.table, True
        if form == "json":
            return "{{json .}}", False
        is_table = form.startswith("table ")
        template = form.removeprefix("table ").strip() if is_table else form
        return template.replace("\\t", "\t").replace("\\n", "\n"), is_table

    def _is_plain(self, template: str) -> bool:
        cells = template.split("\t")
        return all(cell.startswith("{{.") and cell.endswith("}}") and cell[3:-2] in self.fields for cell in cells)

    def _columns(self, items: Iterable[Any], template: str) -> str:
        """The fast way for `{{.A}}\\t{{.B}}`: no template engine."""
        from sampan.cli.render.table import align

        names = [cell[3:-2] for cell in template.split("\t")]
        fields = [self.fields[name] for name in names]
        lines = ["\t".join(heading for heading, _ in fields)]
        lines += ["\t".join(str(get(item)) for _, get in fields) for item in items]
        return align(lines)

    def _executed(self, items: Iterable[Any], template: str, is_table: bool) -> str:
        from sampan.cli.render.table import align
        from sampan.errors import InvalidArgument
        from sampan.templates.functions import HEADINGS
        from sampan.templates.template import Row, Template, TemplateError

        try:
            parsed = Template(template)
        except TemplateError as error:
            raise InvalidArgument(f"failed to parse template: {error}") from None
        try:
            lines = [parsed.render(self._row(item)) for item in items]
            if not is_table:
                return "".join(line + "\n" for line in lines)
            headings = {name: _heading(heading) for name, (heading, _) in self.fields.items()}
            return align([parsed.render(Row(self.kind, headings), HEADINGS), *lines])
        except TemplateError as error:
            raise InvalidArgument(f"failed to execute template: {error}") from None

    def _row(self, item: Any) -> Any:
        from sampan.templates.template import Row

        return Row(self.kind, {name: get(item) for name, (_, get) in self.fields.items()})


def _heading(text: str) -> Any:
    return text if text else (lambda *arguments: " ".join(str(argument) for argument in arguments))


def yes(value: object) -> str:
    """Return Go's word for a truth."""
    return "true" if value else "false"


def ellipsis(text: str, length: int) -> str:
    """Return `text` cut to `length` characters, the last of them an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def short_id(id: str) -> str:
    """Return the twelve characters by which people know a thing."""
    return id.removeprefix("sha256:")[:12]
