"""JSON and times as the Engine API writes them.

    decode(body, T):   msgspec, strict ── fits ──────────────────────────────> T
                          │ unknown or odd-cased key, null for a value, string for a list
                          └─ parse ─> fit to T's shape as Go does ─ msgspec ─> T, or InvalidArgument with the path

Times are integers: nanoseconds since 1970 (UTC); 0 stands for Go's zero time.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from sampan.errors import InvalidArgument

if TYPE_CHECKING:
    from msgspec import inspect

T = TypeVar("T")

ZERO_TIME = "0001-01-01T00:00:00Z"
SECOND = 1_000_000_000

_decoders: dict[object, msgspec.json.Decoder[Any]] = {}
_encoder = msgspec.json.Encoder()


def decode(data: bytes | bytearray | memoryview, type: type[T]) -> T:
    """Return the document in `data`, read as Go reads it into a value of `type`.

    Raises InvalidArgument for malformed JSON, trailing data, and values of the wrong type (with their path).
    """
    decoder = _decoders.get(type)
    if decoder is None:
        decoder = _decoders[type] = msgspec.json.Decoder(type)
    try:
        return cast(T, decoder.decode(data))
    except msgspec.ValidationError:
        return _decode_leniently(data, type)
    except msgspec.DecodeError as error:
        raise _malformed(bytes(data), error) from None
    except UnicodeDecodeError as error:
        raise _not_unicode(error) from None


def encode(document: object) -> bytes:
    """Return `document` as JSON; what is not Unicode in its strings becomes U+FFFD, as in Go."""
    try:
        return _encoder.encode(document)
    except UnicodeEncodeError:
        return _encoder.encode(_unicode_only(msgspec.to_builtins(document)))


def format_time(ns: int | None) -> str:
    """Return RFC 3339 in UTC with up to nine digits of fraction; 0 and None give Go's zero time."""
    if not ns:
        return ZERO_TIME
    seconds, fraction = divmod(ns, SECOND)
    t = time.gmtime(seconds)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}{digits}Z"


def parse_time(text: str, now: int | None = None) -> int:
    """Return nanoseconds since 1970 of a time as docker's since and until take it.

    RFC 3339 or a beginning of it (local time zone where it names none), unix seconds with a fraction, or a Go
    duration counted back from `now` (nanoseconds; the clock by default). Raises InvalidArgument.
    """
    if text == ZERO_TIME:
        return 0
    if match := _UNIX.fullmatch(text):
        fraction = int((match[3] or "0")[:9].ljust(9, "0"))
        sign = -1 if match[1] == "-" else 1
        return sign * (int(match[2]) * SECOND + fraction)
    if match := _RFC3339.fullmatch(text):
        return _calendar(match, text)
    try:
        return (time.time_ns() if now is None else now) - parse_duration(text)
    except InvalidArgument:
        raise InvalidArgument(f'invalid time "{text}": use RFC 3339, unix seconds or a duration like 10m') from None


def parse_duration(text: str) -> int:
    """Return nanoseconds of a Go duration (`1h30m`, `-1.5s`, `250ms`, `0`). Raises InvalidArgument."""
    match = _DURATION.fullmatch(text)
    if not match or (not match[2] and match[3] != "0"):
        raise InvalidArgument(f'invalid duration "{text}": use a number with ns, us, ms, s, m or h, as in 1h30m')
    total = 0
    for number, unit in _DURATION_PART.findall(match[2] or ""):
        whole, _, fraction = number.partition(".")
        digits = fraction[:18]
        total += int(whole[:_MOST_DIGITS] or 0) * _UNITS[unit]
        total += int(digits or 0) * _UNITS[unit] // 10 ** len(digits)
    if total >= 2**63:
        raise InvalidArgument(f'invalid duration "{text[:80]}": it is longer than 292 years')
    return -total if match[1] == "-" else total


_UNIX = re.compile(r"([+-])?(\d{1,12})(?:\.(\d+))?", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_MOST_DIGITS = 30
_DURATION = re.compile(r"([+-])?(?:((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)|(0))", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}


def _calendar(match: re.Match[str], text: str) -> int:
    import calendar

    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    days = calendar.monthrange(year, month)[1] if 1 <= month <= 12 and year else 0
    if not 1 <= day <= days or hour > 23 or minute > 59 or second > 60:
        raise InvalidArgument(f'invalid time "{text}": there is no such day or hour')
    fields = (year, month, day, hour, minute, second)
    zone = match[8]
    if zone is None:
        seconds = int(time.mktime((*fields, 0, 0, -1)))
    else:
        seconds = calendar.timegm((*fields, 0, 0, 0)) - _offset(zone)
    return seconds * SECOND + int((match[7] or "").ljust(9, "0"))


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds


def _malformed(data: bytes, error: msgspec.DecodeError) -> InvalidArgument:
    words = str(error)
    if not data.strip():
        return InvalidArgument("invalid JSON: got EOF while reading request body")
    if "trailing characters" in words:
        return InvalidArgument("unexpected content after JSON")
    if "truncated" in words:
        return InvalidArgument("invalid JSON: unexpected EOF")
    return InvalidArgument(f"invalid JSON: {_complaint(data, words)}")


_LITERALS = (b"true", b"false", b"null")
_BEFORE_A_VALUE = (b"", b":", b",", b"[", b" ", b"\t", b"\n", b"\r")
# What msgspec says of a place in a document, how far it has read on by then, and what Go says of the same place.
_COMPLAINTS = {
    "object keys must be strings": (0, "looking for beginning of object key string"),
    "trailing comma in object": (0, "looking for beginning of object key string"),
    "trailing comma in array": (0, "looking for beginning of value"),
    "expected ':'": (0, "after object key"),
    "expected ',' or '}'": (0, "after object key:value pair"),
    "expected ',' or ']'": (0, "after array element"),
    "invalid number": (0, "in numeric literal"),
    "invalid escape character in string": (1, "in string escape code"),
    "invalid character in unicode escape": (1, "in \\u hexadecimal character escape"),
    "invalid character": (0, "looking for beginning of value"),
}
_COMPLAINT = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")


def _complaint(data: bytes, words: str) -> str:
    """What is wrong with malformed JSON, in Go's words, which clients know: `invalid character 'x' after ...`."""
    match = _COMPLAINT.fullmatch(words)
    if not match or match[1] not in _COMPLAINTS:
        return words
    beyond, where = _COMPLAINTS[match[1]]
    place = int(match[2]) - beyond
    if match[1] == "invalid character":
        place, where = _misspelt(data, place) or (place, "in string literal" if _is_control(data, place) else where)
    return f"invalid character {_quoted(data[place:])} {where}"


def _misspelt(data: bytes, end: int) -> tuple[int, str] | None:
    """Where a literal that was read as far as `end` goes wrong, and how; None where there is none."""
    for literal in _LITERALS:
        start = end - len(literal)
        if start < 0 or data[max(0, start - 1) : start] not in _BEFORE_A_VALUE:
            continue
        wrong = next((i for i, byte in enumerate(literal) if data[start + i] != byte), 0)
        if wrong:
            return start + wrong, f"in literal {literal.decode()} (expecting '{chr(literal[wrong])}')"
    return None


def _is_control(data: bytes, place: int) -> bool:
    return data[place : place + 1] < b" " and data[place : place + 1] != b"" and place > 0


def _quoted(rest: bytes) -> str:
    character = rest[:4].decode("utf-8", "ignore")[:1]
    if not character:
        return f"'\\x{rest[0]:02x}'" if rest else "''"
    return {"'": "'\\''", '"': "'\"'"}.get(character) or repr(character)


def _not_unicode(error: UnicodeDecodeError) -> InvalidArgument:
    return InvalidArgument(f"invalid JSON: not UTF-8: {error.reason} at byte {error.start}")


def _decode_leniently(data: bytes | bytearray | memoryview, type: type[T]) -> T:
    from msgspec import inspect

    try:
        plain = msgspec.json.decode(data)
        return msgspec.convert(_fit(plain, inspect.type_info(type)), type)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid JSON: {error}") from None
    except msgspec.DecodeError as error:
        raise _malformed(bytes(data), error) from None
    except UnicodeDecodeError as error:
        raise _not_unicode(error) from None


def _fit(value: Any, shape: inspect.Type) -> Any:
    """Return plain `value` bent to `shape` as Go's decoder would; what can't be bent stays for msgspec to refuse."""
    from msgspec import inspect

    string_too = False
    if isinstance(shape, inspect.Metadata):
        string_too = bool((shape.extra or {}).get("string_too"))
        shape = shape.type
    if isinstance(shape, inspect.UnionType):
        if value is None:
            return None
        return _fit(value, next(option for option in shape.types if not isinstance(option, inspect.NoneType)))
    if value is None:
        return _zero(shape)
    if string_too and isinstance(value, str):
        return [value]
    if isinstance(shape, inspect.StructType) and isinstance(value, dict):
        return _fit_struct(value, shape)
    if isinstance(shape, inspect.ListType) and isinstance(value, list):
        return [_fit(item, shape.item_type) for item in value]
    if isinstance(shape, inspect.DictType) and isinstance(value, dict):
        return {key: _fit(item, shape.value_type) for key, item in value.items()}
    return value


def _fit_struct(value: dict[str, Any], shape: inspect.StructType) -> dict[str, Any]:
    from msgspec import inspect

    exact = {field.encode_name: field for field in shape.fields}
    folded = {field.encode_name.lower(): field for field in shape.fields}
    fitted: dict[str, Any] = {}
    for key, item in value.items():
        field = exact.get(key) or folded.get(key.lower())
        if field is None:
            continue
        if item is None and not _takes_null(field.type, inspect):
            continue
        fitted[field.encode_name] = _fit(item, field.type)
    return fitted


def _takes_null(shape: inspect.Type, inspect: Any) -> bool:
    return isinstance(shape, inspect.UnionType) and shape.includes_none


def _zero(shape: inspect.Type) -> Any:
    from msgspec import inspect

    for kind, value in ((inspect.StrType, ""), (inspect.BoolType, False), (inspect.IntType, 0)):
        if isinstance(shape, kind):
            return value
    if isinstance(shape, inspect.ListType):
        return []
    if isinstance(shape, inspect.StructType | inspect.DictType):
        return {}
    return None


def _unicode_only(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [_unicode_only(item) for item in value]
    if isinstance(value, dict):
        return {_unicode_only(key): _unicode_only(item) for key, item in value.items()}
    return value
