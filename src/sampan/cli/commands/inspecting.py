"""What all inspects do: fetch raw JSON, print it indented or by a template."""

from __future__ import annotations

from sampan.cli.commands import describe
from sampan.cli.flags import Exit
from sampan.errors import NotFound, SampanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.templates.template import Template

    Fetch = Callable[[str], tuple[bytes, type]]


def inspect(cli: Cli, refs: list[str], form: str, fetch: Fetch) -> int:
    """Print each of `refs`; `fetch` returns its JSON and the wire type. Return the exit code."""
    found: list[tuple[bytes, type]] = []
    errors: list[str] = []
    for ref in refs:
        try:
            found.append(fetch(ref))
        except SampanError as error:
            errors.append(missing(ref) if isinstance(error, NoSuchObject) else describe(error))
    documents = [raw for raw, _ in found]
    if form in ("", "json"):
        cli.out(_array(documents, 0 if form else 4) + "\n")
    else:
        try:
            cli.out(_by_template(found, form))
        except UnusableTemplate as error:
            cli.out(error.text + "\n")
            raise Exit(1, f"template parsing error: {error}") from None
    for message in errors:
        cli.err(message)
    return 1 if errors else 0


class UnusableTemplate(Exception):
    """The template failed; `text` is what came of the documents before."""

    def __init__(self, text: str, message: str) -> None:
        super().__init__(message)
        self.text = text


class NoSuchObject(NotFound):
    """Nothing of any kind has this name."""


def missing(ref: str) -> str:
    """Return what is said of a name that nothing has."""
    return f"Error: No such object: {ref}"


def _array(documents: list[bytes], indent: int) -> str:
    import msgspec

    whole = b"[" + b",".join(documents) + b"]"
    return msgspec.json.format(whole, indent=indent or -1).decode()


def _by_template(found: list[tuple[bytes, type]], form: str) -> str:
    from sampan.templates.template import Template, TemplateError

    try:
        template = Template(form.replace("\\t", "\t").replace("\\n", "\n"))
    except TemplateError as error:
        raise Exit(64, f"template parsing error: {error}") from None
    lines: list[str] = []
    for raw, kind in found:
        try:
            lines.append(_execute(template, raw, kind))
        except TemplateError as error:
            raise UnusableTemplate("".join(line + "\n" for line in lines), str(error)) from None
    return "".join(line + "\n" for line in lines) or "\n"


def _execute(template: Template, raw: bytes, kind: type) -> str:
    """Run the template over the typed document; where that knows too little, over the plain one."""
    from sampan.templates.template import TemplateError
    from sampan.wire import codec

    try:
        document: Any = codec.decode(raw, kind)
        return template.render(document)
    except TemplateError:
        import json

        return template.render(json.loads(raw))
