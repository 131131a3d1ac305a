"""Loading an engine under test, emptying it, and stopping it with a look at what it leaves."""

from __future__ import annotations

from typing import TypeVar

from rig import image, leaks
from rig.checked_sampand import CheckedSampand
from rig.engines import Engine, Sampand

EngineKind = TypeVar("EngineKind", bound=Engine)


def started(engine: EngineKind) -> EngineKind:
    """Start an engine; one that does not come up is cleared away, and the error says how its log ends."""
    try:
        engine.start()
    except BaseException:
        engine.close()
        raise
    return engine


def load(engine: Engine, archive: bytes | None = None) -> None:
    """Load an image archive, by default the busybox image."""
    with engine.client() as client:
        headers = {"Content-Type": "application/x-tar"}
        answer = client.request("POST", "/images/load?quiet=1", archive or image.busybox_archive(), headers)
        assert answer.status == 200 and b'"error"' not in answer.body, answer.message


def remove_containers(engine: Engine) -> None:
    with engine.client() as client:
        listed = client.get("/containers/json?all=1")
        assert listed.status == 200, f"{listed.message}\n{engine.log_tail(60)}"
        for container in listed.json():
            answer = client.delete(f"/containers/{container['Id']}?force=1&v=1")
            assert answer.status in (204, 404), answer.message


def stop_and_check(daemon: Sampand) -> None:
    """Remove all containers, require that nothing of them is left, and that the daemon ends well."""
    try:
        remove_containers(daemon)
        left = leaks.settled(daemon)
        monitor = daemon.monitor_pid()
        code = daemon.terminate()
        assert not left, "left behind:\n" + "\n".join(left)
        assert leaks.ends(monitor), f"the monitor {monitor} did not end after the daemon, which had no containers"
        assert code == 0, f"sampand ended with {code}:\n{daemon.log_tail()}"
        leaks.remove_cgroups(daemon)
        assert "Traceback" not in daemon.log.read_text(), f"traceback in the log:\n{daemon.log_tail(80)}"
        problems = daemon.problems() if isinstance(daemon, CheckedSampand) else []
        assert not problems, "replies that are not as specified:\n" + "\n".join(problems)
    finally:
        daemon.close()
