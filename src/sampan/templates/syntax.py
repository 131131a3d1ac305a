"""Go's text/template, the grammar: text to a tree.

    list     = { text | {{pipeline}} | if | range | with | break | continue }
    pipeline = [ $x [, $y] (":=" | "=") ] command { "|" command }
    command  = operand { operand }          operand = . | .A.B | $x.A | "s" | 1 | true | nil | name | ( pipeline ).A

Nodes are tuples whose first item names them; values.py gives them their meaning.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Node = tuple[Any, ...]

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:\\.|[^"\\\n])*" | `[^`]*`)
      | (?P<char>'(?:\\.|[^'\\\n])+')
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))
      | (?P<field>\.[^\W\d]\w*)
      | (?P<variable>\$\w*)
      | (?P<name>[^\W\d]\w*)
      | (?P<mark>:=|[=|,().])""",
    re.VERBOSE,
)
ACTION = re.compile(
    r"\{\{(?P<left>-\s)?(?P<body>(?:\s*/\*.*?\*/\s*)|(?:[^\"`'}]|\"(?:\\.|[^\"\\])*\"|`[^`]*`|'(?:\\.|[^'\\])*'|\}(?!\}))*?)(?P<right>\s-)?\}\}",
    re.DOTALL,
)
WORDS = frozenset({"if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"})


class TemplateError(Exception):
    """A template can't be parsed or executed; the message is Go's where Go's is known."""


class Token:
    """A token; `glued` when nothing stands between it and the one before (`$x.A` is one operand, `$x .A` two)."""

    __slots__ = ("glued", "kind", "text")

    def __init__(self, kind: str, text: str, glued: bool) -> None:
        self.kind, self.text, self.glued = kind, text, glued


def parse(text: str) -> list[Node]:
    """Return the tree of a template. Raises TemplateError."""
    parser = _Parser(_split(text))
    nodes, ending = parser.block()
    if ending:
        raise TemplateError(f"template: :1: unexpected {{{{{ending}}}}}")
    return nodes


def _split(text: str) -> list[str | list[Token]]:
    """Return texts and the tokens of actions in turn, with trimmed space taken off."""
    parts: list[str | list[Token]] = []
    position, trim = 0, False
    while (start := text.find("{{", position)) >= 0:
        match = ACTION.match(text, start)
        if not match:
            raise TemplateError("template: :1: unclosed action")
        before = text[position:start]
        before = before.lstrip() if trim else before
        parts.append(before.rstrip() if match["left"] else before)
        if not match["body"].strip().startswith("/*"):
            parts.append(_tokens(match["body"]))
        position, trim = match.end(), bool(match["right"])
    rest = text[position:]
    parts.append(rest.lstrip() if trim else rest)
    return [part for part in parts if part != ""]


def _tokens(body: str) -> list[Token]:
    tokens: list[Token] = []
    position, glued = 0, False
    while position < len(body):
        match = TOKEN.match(body, position)
        if not match:
            raise TemplateError(f"template: :1: unexpected {body[position]!r} in command")
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append(Token(kind, match[0], glued))
        glued = kind != "space"
        position = match.end()
    if not tokens:
        raise TemplateError("template: :1: missing value for command")
    return tokens


class _Parser:
    def __init__(self, parts: list[str | list[Token]]) -> None:
        self._parts = parts
        self._next = 0

    def block(self) -> tuple[list[Node], str]:
        """Return the nodes up to an else, an end or the end of the text, and which word it was."""
        nodes: list[Node] = []
        while self._next < len(self._parts):
            part = self._parts[self._next]
            self._next += 1
            if isinstance(part, str):
                nodes.append(("text", part))
                continue
            word = part[0].text if part[0].kind == "name" and part[0].text in WORDS else ""
            if word in ("else", "end"):
                self._else_tokens = part[1:]
                return nodes, word
            nodes.append(self._action(word, part))
        return nodes, ""

    def _action(self, word: str, tokens: list[Token]) -> Node:
        if word in ("if", "with", "range"):
            return self._control(word, tokens[1:])
        if word in ("break", "continue"):
            return (word,)
        if word:
            raise TemplateError(f"template: :1: {word} is not supported here")
        return ("print", _Pipeline(tokens).whole())

    def _control(self, word: str, tokens: list[Token]) -> Node:
        pipeline = _Pipeline(tokens).whole()
        body, ending = self.block()
        otherwise: list[Node] = []
        if ending == "else":
            tokens = self._else_tokens
            if tokens:  # {{else if x}}: an if of its own that shares our end
                return (word, pipeline, body, [self._control(tokens[0].text, tokens[1:])])
            otherwise, ending = self.block()
        if ending != "end":
            raise TemplateError("template: :1: unexpected EOF")
        return (word, pipeline, body, otherwise)


class _Pipeline:
    """Parses the tokens of one action."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def whole(self) -> Node:
        pipeline = self._pipeline()
        if self._next < len(self._tokens):
            raise TemplateError(f"template: :1: unexpected {self._tokens[self._next].text!r} in command")
        return pipeline

    def _pipeline(self) -> Node:
        names, declares = self._declaration()
        commands = [self._command()]
        while self._take("|"):
            commands.append(self._command())
        return ("pipeline", names, declares, commands)

    def _declaration(self) -> tuple[list[str], bool]:
        """Return the variables before := or =, if this is what the pipeline begins with."""
        names, at = [], self._next
        while at < len(self._tokens) and self._tokens[at].kind == "variable":
            names.append(self._tokens[at].text)
            after = self._tokens[at + 1].text if at + 1 < len(self._tokens) else ""
            if after in (":=", "="):
                self._next = at + 2
                return names, after == ":="
            if after != ",":
                break
            at += 2
        return [], False

    def _command(self) -> list[Node]:
        operands: list[Node] = []
        while self._next < len(self._tokens) and self._tokens[self._next].text not in ("|", ")"):
            operands.append(self._operand())
        if not operands:
            raise TemplateError("template: :1: missing value for command")
        return operands

    def _operand(self) -> Node:
        token = self._tokens[self._next]
        self._next += 1
        operand = self._first(token)
        names = []
        while self._next < len(self._tokens) and (field := self._tokens[self._next]).kind == "field" and field.glued:
            names.append(field.text[1:])
            self._next += 1
        return ("fields", operand, names) if names else operand

    def _first(self, token: Token) -> Node:
        if token.kind == "field":
            return ("fields", ("dot",), [token.text[1:]])
        if token.kind == "variable":
            return ("variable", token.text)
        if token.kind == "string":
            return ("constant", unquote(token.text))
        if token.kind == "char":
            return ("constant", ord(unquote(token.text)))
        if token.kind == "number":
            return ("constant", _number(token.text))
        if token.kind == "name":
            constants = {"true": True, "false": False, "nil": None}
            return ("constant", constants[token.text]) if token.text in constants else ("call", token.text)
        if token.text == ".":
            return ("dot",)
        if token.text == "(":
            inner = self._pipeline()
            if not self._take(")"):
                raise TemplateError("template: :1: unclosed left paren")
            return inner
        raise TemplateError(f"template: :1: unexpected {token.text!r} in operand")

    def _take(self, text: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next].text == text:
            self._next += 1
            return True
        return False


def unquote(text: str) -> str:
    """Return what a Go string or character literal stands for."""
    if text.startswith("`"):
        return text[1:-1]
    simple = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

    def escape(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xuU":
            return chr(int(code[1:], 16))
        return chr(int(code, 8)) if code.isdigit() else simple.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", escape, text[1:-1])


def _number(text: str) -> int | float:
    text = text.replace("_", "")
    try:
        return int(text, 0)
    except ValueError:
        return float(text)
