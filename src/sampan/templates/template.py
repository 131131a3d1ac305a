"""Go's text/template, the evaluator: `Template("{{.Name}}").render(value)`."""

from __future__ import annotations

from sampan.templates.functions import FUNCTIONS
from sampan.templates.syntax import TemplateError, parse
from sampan.templates.values import MISSING, Row, field, show, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from sampan.templates.syntax import Node

__all__ = ["Row", "Template", "TemplateError"]


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Template:
    """A parsed template. Raises TemplateError when it can't be parsed."""

    def __init__(self, text: str) -> None:
        self._nodes = parse(text)

    def render(self, value: Any, functions: dict[str, Callable[..., Any]] = FUNCTIONS) -> str:
        """Return the text for `value`. Raises TemplateError."""
        out: list[str] = []
        try:
            _Run(functions, value, out).nodes(self._nodes, value)
        except TemplateError as error:
            raise TemplateError(f"template: :1:2: {error}") from None
        return "".join(out)


class _Run:
    def __init__(self, functions: dict[str, Callable[..., Any]], root: Any, out: list[str]) -> None:
        self._functions, self._out = functions, out
        self._variables: list[tuple[str, Any]] = [("$", root)]

    def nodes(self, nodes: Iterable[Node], dot: Any) -> None:
        depth = len(self._variables)
        for node in nodes:
            getattr(self, f"_{node[0]}")(node, dot)
        del self._variables[depth:]

    def _text(self, node: Node, dot: Any) -> None:
        self._out.append(node[1])

    def _print(self, node: Node, dot: Any) -> None:
        value = self._pipeline(node[1], dot)
        if not node[1][1]:
            self._out.append("<no value>" if value is None and not _typed_nil(node) else show(value))

    def _if(self, node: Node, dot: Any) -> None:
        _, pipeline, body, otherwise = node
        depth = len(self._variables)
        self.nodes(body if truth(self._pipeline(pipeline, dot)) else otherwise, dot)
        del self._variables[depth:]

    def _with(self, node: Node, dot: Any) -> None:
        _, pipeline, body, otherwise = node
        depth = len(self._variables)
        value = self._pipeline(pipeline, dot)
        self.nodes(body, value) if truth(value) else self.nodes(otherwise, dot)
        del self._variables[depth:]

    def _range(self, node: Node, dot: Any) -> None:
        _, pipeline, body, otherwise = node
        depth = len(self._variables)
        _, names, _, _ = pipeline
        items = _items(self._pipeline(("pipeline", [], False, pipeline[3]), dot))
        if not items:
            self.nodes(otherwise, dot)
        for key, item in items:
            self._variables += zip(names, (key, item) if len(names) == 2 else (item,), strict=False)
            try:
                self.nodes(body, item)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del self._variables[depth:]

    def _break(self, node: Node, dot: Any) -> None:
        raise _Break

    def _continue(self, node: Node, dot: Any) -> None:
        raise _Continue

    def _pipeline(self, node: Node, dot: Any) -> Any:
        _, names, declares, commands = node
        value = self._command(commands[0], dot, ())
        for command in commands[1:]:
            value = self._command(command, dot, (value,))
        for name in names:
            self._set(name, value, declares)
        return value

    def _command(self, operands: list[Node], dot: Any, piped: tuple[Any, ...]) -> Any:
        first, *rest = operands
        arguments = [*(self._operand(operand, dot) for operand in rest), *piped]
        if first[0] == "call":
            return self._call(first[1], arguments)
        value = self._operand(first, dot, call=False)
        if callable(value):
            return value(*arguments)
        if arguments:
            raise TemplateError(f'executing "": can\'t give argument to non-function {show(value)}')
        return value

    def _call(self, name: str, arguments: list[Any]) -> Any:
        function = self._functions.get(name)
        if function is None:
            raise TemplateError(f'function "{name}" not defined')
        try:
            return function(*arguments)
        except (TypeError, AttributeError, IndexError) as error:
            raise TemplateError(f'executing "": error calling {name}: {error}') from None

    def _operand(self, node: Node, dot: Any, call: bool = True) -> Any:
        if node[0] == "dot":
            return dot
        if node[0] == "constant":
            return node[1]
        if node[0] == "variable":
            return self._variable(node[1])
        if node[0] == "call":
            return self._call(node[1], [])
        if node[0] == "pipeline":
            return self._pipeline(node, dot)
        value = self._operand(node[1], dot)
        for name in node[2]:
            value = field(value, name)
        return value() if call and callable(value) else value

    def _variable(self, name: str) -> Any:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise TemplateError(f"undefined variable {name!r}")

    def _set(self, name: str, value: Any, declares: bool) -> None:
        if not declares:
            for place in range(len(self._variables) - 1, -1, -1):
                if self._variables[place][0] == name:
                    self._variables[place] = (name, value)
                    return
            raise TemplateError(f"undefined variable {name!r}")
        self._variables.append((name, value))


def _items(value: Any) -> list[tuple[Any, Any]]:
    if value is None or value is MISSING:
        return []
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    raise TemplateError(f"range can't iterate over {show(value)}")


def _typed_nil(node: Node) -> bool:
    """Whether the action is a plain field: a nil there is a typed pointer, printed <nil>."""
    _, _, _, commands = node[1]
    return len(commands) == 1 and len(commands[0]) == 1 and commands[0][0][0] == "fields"
