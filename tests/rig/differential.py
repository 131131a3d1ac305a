"""Two engines given the same calls: what they answer is recorded, normalised and compared.

A case is a function that makes calls on a `Session`. Each call adds an `Observation` (the call, its status, its body),
with what can't be equal replaced by placeholders: ids (numbered where this session made the thing; digests stay),
times, addresses, pids, roots. `differences` then lists the places where two recordings disagree, and a `Judge` knows
which of them are expected.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rig.care import load, remove_containers
from rig.engines import Engine
from rig.http import demultiplex

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ZERO_TIME = "0001-01-01T00:00:00Z"
ID = re.compile(r"(?<!sha256:)\b[0-9a-f]{64}\b")
SHORT_ID = re.compile(r"\b[0-9a-f]{12}\b")
AGE = re.compile(r"\b(Less than a second|About a minute|\d+ (second|minute)s?)\b")
MOMENT = re.compile(r"\b\d{10}\.\d{9}\b")
TEMPORARY = re.compile(r"\bdocker-import-\d+\b")
ADDRESS = re.compile(r"\b172\.\d+\.\d+\.\d+\b")
MAC = re.compile(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b")
NUMBERS = {"Pid", "Created", "time", "timeNano", "SizeRw", "SizeRootFs"}
SECONDS = {"execDuration"}


@dataclass(frozen=True)
class Observation:
    """One answer. `body` is the normalised document, or text."""

    call: str
    status: int
    content_type: str
    body: Any

    def leaves(self) -> dict[str, Any]:
        return {"status": self.status, "content-type": self.content_type} | dict(flatten("", self.body))


class Session:
    """Calls on one engine, recorded in `observations`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = engine.client()
        self.observations: list[Observation] = []
        self._ids: dict[str, str] = {}

    def call(self, method: str, path: str, document: Any = None, headers: dict[str, str] | None = None) -> Any:
        """Make a call, record the answer, return its document (None when it has none)."""
        answer = self.client.request(method, path, document, headers)
        kind = answer.headers.get("content-type", "")
        made = json.loads(answer.body).get("Id") if answer.status == 201 and answer.body else None
        if made:
            self._ids[made] = f"<id{len(self._ids) + 1}>"
        self.observations.append(
            Observation(
                f"{method} {self._text(urllib.parse.unquote(path))}",
                answer.status,
                kind,
                self.normalise(readable(answer.body, kind)),
            )
        )
        try:
            return json.loads(answer.body)
        except ValueError:
            return None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, document: Any = None) -> Any:
        return self.call("POST", path, document)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def record(self, what: str, found: Any, status: int = 200) -> None:
        """Add something that was found out in other ways."""
        self.observations.append(Observation(what, status, "", self.normalise(found)))

    def quietly(self, method: str, path: str, document: Any = None) -> Any:
        """A call that is not recorded; its document."""
        answer = self.client.request(method, path, document)
        return answer.json() if answer.body else None

    def run(self, name: str, *command: str, **options: Any) -> None:
        """Create and start a container without a network; recorded."""
        host = {"NetworkMode": "none", **options.pop("HostConfig", {})}
        document = {"Image": "busybox", "Cmd": list(command), "HostConfig": host, **options}
        self.post(f"/containers/create?name={name}", document)
        self.post(f"/containers/{name}/start")

    def run_to_end(self, name: str, *command: str, **options: Any) -> None:
        self.run(name, *command, **options)
        self.post(f"/containers/{name}/wait")

    # -- normalising

    def normalise(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {self._text(name): self.normalise(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.normalise(item) for item in value]
        if key in SECONDS and str(value).isdigit():
            return f"<{key}>"
        if isinstance(value, str):
            return "<seconds>" if key == "execDuration" else self._text(value)
        if key in NUMBERS and isinstance(value, int) and value > 0:
            return f"<{key}>"
        return value

    def _text(self, text: str) -> str:
        text = ID.sub(lambda found: self._ids.get(found[0], "<id>"), text)
        text = TEMPORARY.sub("<temporary>", SHORT_ID.sub("<short>", text))
        text = text.replace(str(self.engine.home), "<home>")
        text = TIME.sub(lambda found: found[0] if found[0] == ZERO_TIME else "<time>", text)
        text = AGE.sub("<age>", text)
        text = MOMENT.sub("<moment>", text)
        return MAC.sub("<mac>", ADDRESS.sub("<address>", text))


def readable(body: bytes, kind: str) -> Any:
    """A document, a list of documents, the two streams, or text."""
    if kind.startswith("application/vnd.docker.multiplexed-stream"):
        return [stream.decode("latin-1") for stream in demultiplex(body)]
    if not kind.startswith("application/json"):
        return body.decode("latin-1") if len(body) < 100_000 else f"{len(body)} bytes"
    try:
        return json.loads(body) if body else None
    except ValueError:
        return [json.loads(line) for line in body.splitlines() if line.strip()]


def flatten(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of a document with their paths; an empty list, empty map and null are leaves, and differ."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from flatten(f"{path}.{name}", item)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from flatten(f"{path}[{index}]", item)
    else:
        yield path or "body", value


def differences(genuine: list[Observation], ours: list[Observation]) -> Iterator[tuple[str, str, Any, Any]]:
    """(call, path, genuine's value, ours) for each disagreement; a missing leaf is shown as `absent`."""
    for theirs, mine in zip(genuine, ours, strict=False):
        left, right = theirs.leaves(), mine.leaves()
        for path in dict.fromkeys([*left, *right]):
            pair = left.get(path, "absent"), right.get(path, "absent")
            if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]):
                yield theirs.call, path, *pair
    if [seen.call for seen in genuine] != [seen.call for seen in ours]:
        yield "the case", "calls", [seen.call for seen in genuine], [seen.call for seen in ours]


def filtered(path: str, text: str) -> str:
    """The path with `text` as its filters."""
    return f"{path}{'&' if '?' in path else '?'}{urllib.parse.urlencode({'filters': text})}"


def window(since: float) -> str:
    """The events from then to now."""
    return f"/events?since={since:.9f}&until={time.time():.9f}"


# -- what may differ


@dataclass(frozen=True)
class Difference:
    """Calls and paths (regular expressions, matched whole) that may differ, and why."""

    why: str
    path: str
    call: str = ".*"


def only_a_hint_more(path: str, theirs: Any, mine: Any) -> bool:
    """Ours says the same and then what to do."""
    return path == ".message" and isinstance(mine, str) and isinstance(theirs, str) and mine.startswith(theirs)


def refused_as_wrong(path: str, theirs: Any, mine: Any) -> bool:
    """A request that is wrong is a 400, where dockerd says 500."""
    return path == "status" and (theirs, mine) == (500, 400)


def words_of_the_decoder(path: str, theirs: Any, mine: Any) -> bool:
    """What is wrong in a document is said in the JSON library's words, with the place."""
    known = ("invalid JSON: ", "malformed Content-Type header ")
    return path == ".message" and any(str(theirs).startswith(word) and str(mine).startswith(word) for word in known)


def words_of_a_filter(path: str, theirs: Any, mine: Any) -> bool:
    """The same filter is refused; how its value must look is said in our words."""
    theirs, mine = str(theirs), str(mine)
    return path == ".message" and theirs.startswith("invalid filter '") and theirs.split(": ")[0] == mine.split(": ")[0]


def same_reason_to_not_start(path: str, theirs: Any, mine: Any) -> bool:
    """The chain of programs before the cause differs between runtimes; the cause, which clients look at, must not."""
    marker = "OCI runtime create failed: "
    if not (path in (".message", ".State.Error") and marker in str(theirs) and marker in str(mine)):
        return False
    return str(theirs).rpartition(": ")[2] == str(mine).rpartition(": ")[2]


ALIKE = (only_a_hint_more, refused_as_wrong, words_of_the_decoder, words_of_a_filter, same_reason_to_not_start)


class Judge:
    """Says which differences of two recordings are not expected, and which of the expected ones were never seen."""

    def __init__(self, expected: Iterable[Difference]) -> None:
        self.expected = tuple(expected)
        self.used: set[Difference] = set()

    def unexpected(self, genuine: list[Observation], ours: list[Observation]) -> Iterator[str]:
        for call, path, left, right in differences(genuine, ours):
            known = [d for d in self.expected if re.fullmatch(d.call, call) and re.fullmatch(d.path, path)]
            self.used.update(known)
            if not known and not any(alike(path, left, right) for alike in ALIKE):
                yield f"{call}: {path}: genuine {left!r}, ours {right!r}"

    def unused(self) -> set[Difference]:
        """What is listed and was not there."""
        return set(self.expected) - self.used

    def compare(self, engines: Iterable[Engine], run: Callable[[Session], object]) -> None:
        """Run a case on both engines, the genuine one first, and require the same recordings."""
        recordings = []
        for engine in engines:
            session = Session(engine)
            run(session)
            session.client.close()
            recordings.append(session.observations)
        found = list(self.unexpected(*recordings))
        assert not found, f"{len(found)} differences:\n" + "\n".join(found)


def clean(engine: Engine) -> None:
    """Leave an engine with the busybox image and nothing else."""
    remove_containers(engine)
    with engine.client() as client:
        for image in client.get("/images/json?all=1").json():
            tags = [tag for tag in image["RepoTags"] or () if tag != "busybox:latest"]
            for name in tags if "busybox:latest" in image["RepoTags"] else [image["Id"]]:
                client.delete(f"/images/{name}?force=1")
        for volume in client.get("/volumes").json()["Volumes"] or ():
            client.delete(f"/volumes/{volume['Name']}?force=1")
        gone = client.get("/images/busybox:latest/json").status == 404
    if gone:
        load(engine)
