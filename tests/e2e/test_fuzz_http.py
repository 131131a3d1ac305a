"""Bytes on the socket that are almost HTTP: none makes the daemon fail, hang, leak or grow.

A minute in the suite, always the same bytes; an hour with SAMPAN_TEST_LONG, or as many seconds as
SAMPAN_FUZZ_SECONDS says, then others each time. A failure shows what was sent; SAMPAN_TEST_SEED repeats the
run but for what the threads' turns decide.
"""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from rig import leaks, storm
from rig.flatness import MARGIN_MEGABYTES, MARGIN_OF_A_START, weigh
from rig.raw_http import Conversations, problems, talk

SEED = 20
WORKERS = 8
ANSWER_SECONDS = 120.0
"""How long a ping may take on a busy machine."""

pytestmark = pytest.mark.root


class Talker(threading.Thread):
    """Has one conversation after the other; `failures` says what was wrong with what came back."""

    def __init__(self, engine, number, seed, until):
        super().__init__(daemon=True)
        self._engine, self._until = engine, until
        self._conversations = Conversations(random.Random(seed + number), "runs", "reads")
        self.count = 0
        self.failures: list[str] = []

    def run(self):
        while time.monotonic() < self._until and len(self.failures) < 5:
            conversation = self._conversations.next()
            try:
                found = problems(talk(self._engine.socket, conversation))
            except Exception as error:
                found = [repr(error)]
            if found:
                self.failures.append(f"{found} for {conversation}")
            self.count += 1


def fuzz(engine, seconds, seed):
    """Let the workers loose; how many conversations they had. The daemon answers others all the while."""
    until = time.monotonic() + seconds
    workers = [Talker(engine, number, seed, until) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    said = time.monotonic()
    while any(worker.is_alive() for worker in workers):
        play(engine)
        time.sleep(0.5)
        if time.monotonic() > said + 300:
            said = time.monotonic()
            print(f"{sum(worker.count for worker in workers)} conversations, {weigh(engine.pid)}", flush=True)
    failures = [failure for worker in workers for failure in worker.failures]
    assert not failures, "\n".join([f"{len(failures)} failures", *failures])
    return sum(worker.count for worker in workers)


def play(engine):
    """See that the two containers are there, as a client whose connections are new."""
    with engine.client(timeout=ANSWER_SECONDS) as client:
        assert client.get("/_ping").status == 200
        commands = {"runs": ["sh", "-c", "while :; do echo x; sleep 0.1; done"], "reads": ["cat"]}
        for name, command in commands.items():
            host = {"NetworkMode": "none"}
            document = {
                "Image": "busybox",
                "Cmd": command,
                "HostConfig": host,
                "OpenStdin": True,
                "Tty": name == "reads",
            }
            answer = client.post(f"/containers/create?name={name}", document)
            assert answer.status in (201, 409), answer.message
            answer = client.post(f"/containers/{name}/start")
            assert answer.status in (204, 304, 409), answer.message


def at_rest(engine):
    """The daemon without anything, which must not have left anything, and its weight."""
    with engine.client(timeout=ANSWER_SECONDS) as client:
        storm.remove(client, [c["Id"] for c in client.get("/containers/json?all=1").json()])
        for found in client.get("/images/json").json():
            for tag in found["RepoTags"] or [found["Id"]]:
                if tag != "busybox:latest":
                    client.delete(f"/images/{tag}?force=1")
    left = leaks.settled(engine, 60)
    assert not left, "\n".join(["left behind:", *left, "its log ends:", engine.log_tail()])
    return weigh(engine.pid)


@pytest.mark.timeout(5400 if os.environ.get("SAMPAN_TEST_LONG") else 600)
def test_bytes_that_are_almost_http(fresh_sampand, long_run):
    engine = fresh_sampand
    seconds = int(os.environ.get("SAMPAN_FUZZ_SECONDS", 3600 if long_run else 60))
    seed = storm.dice().randrange(1 << 30) if long_run else SEED
    play(engine)
    count = fuzz(engine, seconds / 4, seed)
    before = at_rest(engine)
    count += fuzz(engine, seconds * 3 / 4, seed + WORKERS)
    after = at_rest(engine)
    print(f"{count} conversations; {before}; {after}")
    assert not before.growth_to(after, MARGIN_MEGABYTES if long_run else MARGIN_OF_A_START)
    assert "Traceback" not in engine.log.read_text()
