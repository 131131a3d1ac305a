"""The objects of a daemon that a fuzzer's requests are about: some of every kind and state, replaced as they go.

cast = Cast(engine, dice); cast.renew()
cast.name("container")      # the name or id of one that lives, most of the time
cast.clear()                # the daemon as it was: the base image and nothing else
"""

from __future__ import annotations

import random
import threading
from typing import Any

from rig import care
from rig.engines import Sampand
from rig.http import EngineClient

NOUNS = ("container", "image", "volume", "network", "exec")
_MOST = {"container": 14, "image": 12, "volume": 16, "network": 6}
_ROLES: dict[str, dict[str, Any]] = {
    "made": {"Cmd": ["true"]},
    "sleeps": {"Cmd": ["sleep", "100000"]},
    "talks": {"Cmd": ["sh", "-c", "while :; do echo x; sleep 0.2; done"]},
    "reads": {"Cmd": ["cat"], "OpenStdin": True, "Tty": True},
    "ends": {"Cmd": ["sh", "-c", "echo out; echo err >&2; exit 3"]},
    "returns": {"Cmd": ["false"], "HostConfig": {"RestartPolicy": {"Name": "always"}}},
    "paused": {"Cmd": ["sleep", "100000"]},
    "connected": {"Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "bridge"}},
}


class Cast:
    """The living objects by noun; safe to ask from several threads."""

    def __init__(self, engine: Sampand, dice: random.Random) -> None:
        self._engine = engine
        self._dice = dice
        self._lock = threading.Lock()
        self._names: dict[str, list[str]] = {noun: [] for noun in NOUNS}

    def name(self, noun: str, dice: random.Random) -> str:
        """One that lived a moment ago; a name that nobody has where there is none."""
        with self._lock:
            names = self._names[noun]
            return dice.choice(names) if names else f"no-{noun}"

    def remember(self, noun: str, name: str) -> None:
        """One more, which a request has just made."""
        with self._lock:
            self._names[noun] = [*self._names[noun][-30:], name]

    def renew(self) -> None:
        """Remove what is too much, bring in what is missing, and learn all names."""
        with self._engine.client(timeout=120) as client:
            self._thin_out(client)
            self._ensure_image(client)
            for role, document in _ROLES.items():
                self._play(client, role, document)
            client.post("/volumes/create", {"Name": "cast-volume"})
            client.post("/networks/create", {"Name": "cast-network"})
            self._exec(client)
            self._learn(client)

    def clear(self) -> None:
        """Remove everything but the base image."""
        with self._engine.client(timeout=120) as client:
            care.remove_containers(self._engine)
            for noun in ("volume", "network"):
                for name in self._listed(client, noun):
                    client.delete(f"/{noun}s/{name}?force=1")
            for image in client.get("/images/json?all=1").json():
                client.delete(f"/images/{image['Id']}?force=1")
            self._ensure_image(client)
        with self._lock:
            self._names = {noun: [] for noun in NOUNS}

    def _play(self, client: EngineClient, role: str, document: dict[str, Any]) -> None:
        """A container in that role, unless there is one; whatever requests of others make of it is all right."""
        host = {"NetworkMode": "none", **document.get("HostConfig", {})}
        made = client.post(f"/containers/create?name=cast-{role}", {"Image": "busybox", **document, "HostConfig": host})
        if made.status == 201 and role != "made":
            client.post(f"/containers/cast-{role}/start")
        if role == "paused":
            client.post("/containers/cast-paused/pause")

    def _exec(self, client: EngineClient) -> None:
        made = client.post("/containers/cast-sleeps/exec", {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True})
        if made.status == 201:
            self.remember("exec", made.json()["Id"])

    def _ensure_image(self, client: EngineClient) -> None:
        if client.get("/images/busybox:latest/json").status == 404:
            care.load(self._engine)

    def _thin_out(self, client: EngineClient) -> None:
        for noun, most in _MOST.items():
            names = self._listed(client, noun)
            for name in self._dice.sample(names, max(0, len(names) - most)):
                client.delete(f"/{noun}s/{name}?force=1" + ("&v=1" if noun == "container" else ""))

    def _listed(self, client: EngineClient, noun: str) -> list[str]:
        if noun == "container":
            return [c["Id"] for c in client.get("/containers/json?all=1").json()]
        if noun == "image":
            images = client.get("/images/json").json()
            return [tag for i in images for tag in i["RepoTags"] or [i["Id"]] if tag != "busybox:latest"]
        if noun == "volume":
            return [v["Name"] for v in client.get("/volumes").json()["Volumes"] or []]
        return [n["Id"] for n in client.get("/networks").json() if n["Name"] not in ("bridge", "host", "none")]

    def _learn(self, client: EngineClient) -> None:
        containers = client.get("/containers/json?all=1").json()
        names = {
            "container": [n for c in containers for n in (c["Id"], c["Id"][:12], *(x.lstrip("/") for x in c["Names"]))],
            "image": ["busybox", "busybox:latest", *self._listed(client, "image")],
            "volume": self._listed(client, "volume"),
            "network": ["bridge", "none", *self._listed(client, "network")],
        }
        with self._lock:
            self._names.update(names)
