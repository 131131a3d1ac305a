"""Requests made from the OpenAPI file: none makes the daemon fail, hang, leak or grow.

A minute in the suite, always the same requests; an hour with SAMPAN_TEST_LONG, or as many seconds as
SAMPAN_FUZZ_SECONDS says, then others each time. A failure shows the request; SAMPAN_TEST_SEED repeats the
run but for what the threads' turns decide.
"""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from rig import leaks
from rig.cast import Cast
from rig.flatness import MARGIN_MEGABYTES, MARGIN_OF_A_START, weigh
from rig.from_spec import PATIENT, UPSTREAM, Requests
from rig.openapi import ResponseValidator, load_spec, spec_path
from rig.recording import Reply
from rig.storm import dice

SPEC = spec_path("1.51")
AS_DOCKERD = {
    "ContainerStart": "failed to join PID namespace",
    "ContainerRestart": "failed to join PID namespace",
    "ContainerUnpause": "is not paused",
    "ContainerTop": "ps",
}
"""Failures that a genuine dockerd answers to wrong requests, and so does sampand."""
VERSIONS = ("/v1.51", "/v1.51", "/v1.51", "", "/v1.41", "/v1.30", "/v1.24")
SEED = 20
WORKERS = 3
ANSWER_SECONDS = 120.0
"""How long a call that has nothing to wait for may take on a busy machine."""
LEAVE_SECONDS = 0.4
"""How long a client stays with a call that may take as long as it likes."""

pytestmark = [pytest.mark.root, pytest.mark.skipif(not SPEC.exists(), reason="the OpenAPI file is not on this machine")]


class Fuzzer(threading.Thread):
    """Sends requests in rounds; `failures` says what was wrong with the answers."""

    def __init__(self, engine, cast, number, seed, validator, until):
        super().__init__(daemon=True)
        self._engine, self._cast, self._validator, self._until = engine, cast, validator, until
        self._dice = random.Random(seed + number)
        safe = engine.home / "safe"
        safe.mkdir(exist_ok=True)
        self._requests = Requests(load_spec(SPEC), cast, self._dice, safe)
        self.calls = 0
        self.failures: list[str] = []

    def run(self):
        client = self._engine.client(timeout=ANSWER_SECONDS)
        while time.monotonic() < self._until and len(self.failures) < 10:
            call = self._requests.next()
            client.version = self._dice.choice(VERSIONS)
            client.timeout = LEAVE_SECONDS if call.operation in PATIENT else ANSWER_SECONDS
            if call.operation in PATIENT:
                client.close()  # the next connection has the new timeout
            try:
                self._send(client, call)
            except TimeoutError:
                if call.operation not in PATIENT:
                    self.failures.append(f"no answer within {ANSWER_SECONDS} s: {call}")
            except Exception as error:
                self.failures.append(f"{error!r}: {call}")
                client.close()
            if call.operation in PATIENT or self._dice.random() < 0.02:
                client.close()
            self.calls += 1
        client.close()

    def _send(self, client, call):
        answer = client.begin(call.method, call.target, call.body, call.headers)
        if answer.status == 101:
            return
        size, pieces, until = 0, [], time.monotonic() + LEAVE_SECONDS
        for piece in client.stream(answer, call.method):
            pieces.append(piece)
            size += len(piece)
            if size > 16 << 20 or (call.operation in PATIENT and time.monotonic() > until):
                client.close()
                return
        answer.body = b"".join(pieces)
        self._judge(client.version, call, answer)

    def _judge(self, version, call, answer):
        wrong = []
        if answer.status >= 500 and not self._excused(call, answer):
            wrong.append("a failure")
        if b"Traceback" in answer.body:
            wrong.append("a traceback")
        if call.method != "HEAD":
            if answer.status >= 400 and not answer.message.strip():
                wrong.append("no message")
            if version == "/v1.51" and answer.status != 301:  # to the cleaned path
                wrong += self._misfits(call, answer)
        if wrong:
            self.failures.append(f"{wrong}: {answer.status} {answer.body[:500]!r} for {version} {call}")
        if answer.status == 201 and call.operation == "ContainerExec":
            self._cast.remember("exec", answer.json()["Id"])

    def _misfits(self, call, answer):
        """What of a reply isn't as the file says; the file forgets many a status of a request that is refused."""
        kind = answer.headers.get("content-type", "").partition(";")[0]
        reply = Reply(call.method, f"/v1.51{call.target}", answer.status, kind, answer.body, True)
        found = self._validator.problems(reply)
        return [words for words in found if answer.status < 400 or "the file has no reply with status" not in words]

    def _excused(self, call, answer):
        """Not there on purpose, no swarm here, no registry to be reached, or dockerd's own way."""
        if len(answer.message) < 10 or "internal error" in answer.message:
            return False
        known = call.operation in AS_DOCKERD and AS_DOCKERD[call.operation] in answer.message
        return answer.status in (501, 503) or known or call.operation in UPSTREAM


def fuzz(engine, cast, seconds, seed):
    """Let the workers loose; how many calls they made."""
    validator = ResponseValidator(SPEC)
    until = time.monotonic() + seconds
    workers = [Fuzzer(engine, cast, number, seed, validator, until) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    said = time.monotonic()
    while any(worker.is_alive() for worker in workers):
        cast.renew()
        workers[0].join(2)
        if time.monotonic() > said + 300:
            said = time.monotonic()
            print(f"{sum(worker.calls for worker in workers)} calls, {weigh(engine.pid)}", flush=True)
    failures = [failure for worker in workers for failure in worker.failures]
    assert not failures, "\n".join([f"{len(failures)} failures", *failures])
    return sum(worker.calls for worker in workers)


def at_rest(engine, cast):
    """The daemon without anything, which must not have left anything, and its weight."""
    cast.clear()
    left = leaks.settled(engine, 60)
    assert not left, "\n".join(["left behind:", *left, "its log ends:", engine.log_tail()])
    return weigh(engine.pid)


@pytest.mark.timeout(5400 if os.environ.get("SAMPAN_TEST_LONG") else 600)
def test_requests_made_from_the_spec(fresh_sampand, long_run):
    engine, seconds = fresh_sampand, int(os.environ.get("SAMPAN_FUZZ_SECONDS", 3600 if long_run else 60))
    chance = dice() if long_run else random.Random(SEED)
    seed = chance.randrange(1 << 30)
    cast = Cast(engine, chance)
    cast.renew()
    calls = fuzz(engine, cast, seconds / 4, seed)
    before = at_rest(engine, cast)
    calls += fuzz(engine, cast, seconds * 3 / 4, seed + WORKERS)
    after = at_rest(engine, cast)
    print(f"{calls} calls; {before}; {after}")
    assert not before.growth_to(after, MARGIN_MEGABYTES if long_run else MARGIN_OF_A_START)
    assert "Traceback" not in engine.log.read_text()
