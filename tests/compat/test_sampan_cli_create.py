"""`run` and `create`: what our command line sends, says and returns is what docker's does, flag by flag.

Both talk to a listener that keeps the body of POST /containers/create and refuses it; no engine is needed.
"""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from rig.engines import TREE

SAMPAN = TREE / ".venv/bin/sampan"
PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n"
REFUSED = b'HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{"message":"refused"}'

CASES = """
create busybox
create nosuch
create busybox sh -c 'echo --rm'
create -i busybox
create -it busybox
create -a stdout busybox
create -a stdin -a stderr -i busybox
create --platform linux/arm64 --name foo busybox
create -e B=c -e HOME --env-file {folder}/env busybox
create -e =x busybox
create --label-file {folder}/env --label x --label y=z busybox
create --gpus all --init --rm --restart no busybox
create --gpus 2 --gpus device=1 busybox
create --gpus device=1,capabilities=utility busybox
create --health-cmd x --health-interval 5s busybox
create --health-cmd 'a b' --health-retries 3 --health-start-period 1m --health-start-interval 2s busybox
create --no-healthcheck busybox
create --health-cmd a --no-healthcheck busybox
create --health-retries -1 busybox
create --storage-opt size=1g --sysctl net.core.somaxconn=1 --annotation a=b busybox
create --storage-opt x busybox
create --sysctl x busybox
create --security-opt no-new-privileges --security-opt seccomp=unconfined --security-opt label:disable busybox
create --security-opt systempaths=unconfined busybox
create --security-opt seccomp={folder}/profile.json busybox
create --security-opt foo busybox
create --memory-swap -1 -m 64m --memory-reservation 3m --shm-size 1g --memory-swappiness 3 busybox
create --memory-swappiness 300 busybox
create -m foo busybox
create --cpus 1.5 --cpu-shares 3 --cpuset-cpus 0-1 --cpuset-mems 0 --cpu-period 10000 --cpu-quota 5000 busybox
create --cpu-rt-period 1 --cpu-rt-runtime 2 --kernel-memory 4m --blkio-weight 50 --cgroup-parent x busybox
create --cpus foo busybox
create --cgroupns host --ipc host --pid host --uts host --userns host --isolation default --runtime runc busybox
create --pid foo busybox
create --uts foo busybox
create --userns foo busybox
create --device-read-bps /dev/sda:1mb --device-write-bps /dev/a:1k --blkio-weight-device /dev/sda:10 busybox
create --device-read-iops /dev/a:6 --device-write-iops /dev/a:5 busybox
create --device-write-iops x:5 busybox
create --device /dev/null --device /dev/zero:r --device /dev/a:/dev/b:rw busybox
create --device a busybox
create --device-cgroup-rule 'c 1:3 mr' busybox
create --device-cgroup-rule x busybox
create --ulimit nofile=5 --ulimit core=1:2 --pids-limit 5 --oom-kill-disable --oom-score-adj 5 busybox
create --ulimit nofile busybox
create --ulimit nofile=10:5 busybox
create --ulimit foo=5 busybox
create --cap-add net_admin --cap-add all --cap-drop CAP_SYS_ADMIN,foo busybox
create --group-add 5 --group-add a --user 5:5 -w /x --read-only --privileged busybox
create --stop-signal INT --stop-timeout 0 -h host.dom --domainname d busybox
create --log-driver local --log-opt a=b busybox
create --log-driver none --log-opt a=b busybox
create --mount type=bind,src=/a,dst=/b,ro,bind-propagation=rslave --mount target=/zz busybox
create --mount type=tmpfs,dst=/t,tmpfs-size=10m,tmpfs-mode=1770 busybox
create --mount type=volume,src=v,dst=/c,volume-opt=a=b,volume-label=x=y,volume-nocopy busybox
create --mount type=bind,src=rel,dst=/b,consistency=cached,bind-nonrecursive busybox
create --mount type=bind,src=/a,dst=/b,bind-recursive=disabled busybox
create --mount type=image,src=x,dst=/b,image-subpath=/a busybox
create --mount type=foo,src=/a,dst=/b busybox
create --mount type=bind,src=/a busybox
create --mount foo busybox
create --mount type=bind,src=/a,dst=/b,readonly=x busybox
create --mount type=bind,src=/a,dst=/b,volume-nocopy busybox
create -v ./x:/y -v /vol -v n:/m:ro -v /a:/b:bogus --volume-driver foo --volumes-from q --volumes-from r busybox
create -v '' busybox
create --tmpfs /q:rw,size=1m --tmpfs /w busybox
create -p 80:80 -p 8000-8002:9000-9002 -p 9999 -p 127.0.0.1::53/udp -p [::1]:81:81 -P busybox
create -p 80-82:90 --expose 90-92 --expose 95/udp busybox
create -p 99999 busybox
create -p a:b busybox
create -p 80:80/foo busybox
create -p 80-81:90-92 busybox
create --expose 99999 busybox
create --network host --link a:b busybox
create --network default busybox
create --network container:x busybox
create --network none --mac-address 92:d0:c6:0a:29:33 busybox
create --network bridge --ip 1.1.1.1 busybox
create --network n1 --network-alias x --ip 1.2.3.4 --ip6 ::1 --link-local-ip 169.254.1.1 busybox
create --network a --network-alias b --network c busybox
create --network name=a,driver-opt=x=y,link-local-ip=1.1.1.1,gw-priority=5,mac-address=92:d0:c6:0a:29:33 busybox
create --network a --network a busybox
create --network host --network a busybox
create --net a --net-alias b --dns-opt z busybox
create --add-host a:1.1.1.1 --add-host b=::1 --add-host c:host-gateway busybox
create --add-host a busybox
create --dns 1.1.1.1 --dns-search x --dns-option y busybox
create --dns foo busybox
create --restart on-failure:3 busybox
create --restart always:3 busybox
create --restart on-failure:x busybox
create --rm --restart always busybox
create --cidfile {folder}/new busybox
create --entrypoint /bin/sh --pull never --quiet busybox -c ls
create --entrypoint '' busybox
create --bogus busybox
create
run -d busybox
run -d -i -t busybox
run -d -a stdout busybox
run -it busybox
""".strip().splitlines()


def regular(body: dict[str, Any]) -> dict[str, Any]:
    """Return `body` with variables and binds sorted: docker 28.5 sends them in a random order."""
    for part, key in ((body, "Env"), (body["HostConfig"], "Binds")):
        part[key] = sorted(part[key]) if part[key] else part[key]
    return body


class Listener(threading.Thread):
    """Answers pings, keeps create's target and body, refuses everything else."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.host = f"unix://{path}"
        self.created: list[tuple[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()

    def run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            while line := file.readline():
                length = 0
                while header := file.readline().strip().lower():
                    if header.startswith(b"content-length:"):
                        length = int(header.partition(b":")[2])
                body = file.read(length)
                if b"/containers/create" in line:
                    self.created.append((line.split()[1].decode(), regular(json.loads(body))))
                connection.sendall(PING if b"/_ping" in line else REFUSED)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Listener:
    thread = Listener(tmp_path_factory.mktemp("listener") / "sock")
    thread.start()
    return thread


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    (made / "env").write_text("X=1\n# comment\n\nHOME\nY=a b\n")
    (made / "profile.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    return made


def outcome(binary: Path, words: list[str], listener: Listener, folder: Path) -> tuple[int, str, Any]:
    """Return exit code, what was said (with docker's name), and what was sent."""
    listener.created.clear()
    done = subprocess.run(
        [binary, "-H", listener.host, *words],
        env={"HOME": str(folder), "PATH": "/bin:/usr/bin"},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, (done.stdout + done.stderr).replace("sampan", "docker"), listener.created[:]


@pytest.mark.parametrize("case", CASES, ids=[case.partition(" busybox")[0] for case in CASES])
def test_the_same_request_and_the_same_words(docker_binary, listener, folder, case):
    words = shlex.split(case.format(folder=folder))
    assert outcome(SAMPAN, words, listener, folder) == outcome(docker_binary, words, listener, folder)
