"""What our command line prints about a genuine engine is, byte for byte, what docker's prints."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.care import load
from rig.docker_cli import DockerCli
from rig.engines import TREE, Engine

SAMPAN = TREE / ".venv/bin/sampan"

CASES = r"""
ps
ps -a
ps -aq
ps -a --no-trunc
ps -as
ps -a --format json
ps -a --format '{{.Names}}|{{.Labels}}|{{.Mounts}}|{{.Ports}}|{{.LocalVolumes}}|{{.Networks}}|{{.CreatedAt}}'
ps -a --format 'table {{.ID}}\t{{.Names}}'
ps -a --format 'table {{upper .Names}}\t{{.Label "a"}}'
ps --format '{{.Foo}}'
ps --format '{{.ID'
ps -l
ps -n 1 -q
ps -f name=runner -q
ps -f foo
ps -f foo=bar
ps x
images
images -a --digests
images --no-trunc
images -q
images nosuch
images 'busy*'
images --format json
images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
history busybox
history --no-trunc busybox
history -H=false busybox
history --format json busybox
history -q busybox
inspect runner
inspect busybox
inspect things
inspect pond
inspect runner past
inspect nosuch
inspect runner nosuch -f '{{.Id}}'
inspect -f '{{.Foo}}' runner
inspect -f '{{.State.Status}} {{.Name}} {{range .Config.Env}}{{.}},{{end}} {{.Config.Labels}}' runner
inspect -f '{{.State}}' past
inspect -f '{{json .State}}' past
inspect -f '{{.State.Health}} {{.Config.Healthcheck}} {{.HostConfig.Init}} {{.Config.StopSignal}}|' past
inspect -f '{{index .Config.Labels "a"}} {{.Config.Labels.a}} {{.Config.Labels.nosuch}} {{len .Config.Labels}}' runner
inspect -f '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}' runner
inspect -f '{{range $p, $c := .NetworkSettings.Ports}}{{$p}} {{(index $c 0).HostPort}} {{end}}' runner
inspect -f '{{if .State.Running}}up{{else}}down{{end}} {{with .Config.Image}}{{.}}{{end}}{{/* c */}}' runner past
inspect -f '{{.ID}} {{.Created}} {{printf "%q %5d|%-5s|" .Name .RestartCount .Driver}} {{join .Config.Cmd "-"}}' past
inspect -f '{{.HostConfig.Binds}} {{.HostConfig.CapAdd}} {{json .HostConfig.CapAdd}} {{.Config.Volumes}}' runner
inspect -f '{{and .State.Running (not .State.Paused)}} {{or .Driver "x"}} {{slice .Image 0 12}} {{title "ab c"}}' past
inspect --type image busybox -f '{{.Size}}'
inspect --type container busybox
inspect -s runner -f '{{.SizeRw}} {{.SizeRootFs}}'
inspect -f json runner
image inspect busybox
image inspect nosuch
volume inspect things
volume inspect nosuch
network inspect pond -f '{{range .IPAM.Config}}{{.Subnet}}{{end}} {{len .Containers}}'
network inspect nosuch
network ls
network ls --no-trunc
network ls -q
network ls --format json
volume ls
volume ls -q
volume ls --format json
volume ls -f name=things
system df
system df --format json
top runner
top runner -o pid,args
top nosuch
port runner
port runner 80
diff past
logs past
logs -t past
logs -n 1 past
logs --since 1h past
logs --since foo past
logs -n x past
logs nosuch
wait past
wait nosuch
stop
stop -x
stop -t
stop -t x runner
nosuch
container nosuch
rm runner
rm nosuch
rm -f nosuch
rmi nosuch
rmi busybox
stop nosuch nosuch2
kill nosuch
kill -s FOO runner
start nosuch
exec nosuch true
exec runner
exec runner sh -c 'exit 9'
exec runner nosuchcmd
exec runner sh -c 'echo a; echo b >&2'
exec -e A=5 -w /tmp -u 1:1 runner sh -c 'echo $A; pwd; id'
exec -d runner true
exec -it runner true
rename nosuch b
tag nosuch x
tag busybox Foo:x
tag busybox a:b:c
save nosuch
save busybox -o /nosuchdir/x
load -i /nosuch
import /nosuch
run -it busybox
run --rm busybox nosuchcmd
run --rm busybox /etc
run --rm busybox sh -c 'echo hi; echo err >&2; exit 7'
run --rm -a stderr busybox sh -c 'echo hi; echo err >&2; exit 7'
run --rm --network nosuch busybox true
run --rm --restart always busybox true
run --rm busybox sh -c 'kill -9 $$'
run --rm -w /tmp busybox sh -c 'pwd'
run --rm -v ./x
run --name runner busybox
events --since 1h --until 0s -f container=past --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'
events --since 1h --until 0s -f volume=things -f event=create
events --since 1h --until 0s -f volume=things -f event=create --format json
events --until x
attach past
attach nosuch
update runner
update runner -m 5
commit nosuch x
commit runner Foo
cp a b
cp a:/x b:/y
cp runner:/nosuch /tmp
cp runner:/etc/nosuch -
cp nosuch:/x /tmp
network rm nosuch
network rm -f nosuch
network connect pond nosuch
volume rm nosuch
volume rm things
container prune
info -f '{{.Driver}} {{.NCPU}} {{json .Plugins.Volume}}'
version -f '{{.Server.Version}}'
stats nosuch --no-stream
""".strip().splitlines()


@pytest.fixture(scope="module")
def furnished(genuine: Engine, docker_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerCli]:
    """A genuine engine with a container that runs, one that ended, a network and a volume."""
    load(genuine)
    docker = DockerCli(docker_binary, genuine.host, tmp_path_factory.mktemp("settings"))
    docker.ok("network", "create", "--label", "x=y", "pond")
    docker.ok("volume", "create", "--label", "a=b", "things")
    flags = "-d --name runner -p 8088:80 -p 90-92 -v things:/data --label a=b --label x= --network pond".split()
    docker.ok("run", *flags, "busybox", "sleep", "1000")
    docker.run("run", "--name", "past", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    yield docker
    docker.remove_all_containers()
    docker.ok("network", "rm", "pond")
    docker.ok("volume", "rm", "things")


def outcome(binary: Path, case: str, docker: DockerCli) -> tuple[int, str, str]:
    """Return exit code and both streams, errors with docker's name."""
    done = subprocess.run(
        [binary, *shlex.split(case)],
        env=docker.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr.replace("sampan", "docker")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_output(furnished, case):
    for _ in range(5):  # an age may change between the two
        expected, got = outcome(furnished.binary, case, furnished), outcome(SAMPAN, case, furnished)
        if got == expected:
            break
    assert got == expected


def test_samples_have_the_same_shape(furnished):
    form = "{{.ID}} {{.Name}} {{.PIDs}} {{.Container}}"
    case = f"stats --no-stream --format '{form}' runner"
    assert outcome(SAMPAN, case, furnished) == outcome(furnished.binary, case, furnished)


def test_info_differs_only_in_the_client(furnished):
    ours, theirs = outcome(SAMPAN, "info", furnished)[1], outcome(furnished.binary, "info", furnished)[1]
    assert ours.partition("Server:")[2] == theirs.partition("Server:")[2]


def test_version_shows_the_same_server(furnished):
    ours, theirs = outcome(SAMPAN, "version", furnished)[1], outcome(furnished.binary, "version", furnished)[1]
    assert ours.partition("\nServer:")[2] == theirs.partition("\nServer:")[2]


def test_pause_and_unpause(furnished):
    for verb, back in (("pause", "unpause"), ("unpause", "pause")):
        if verb == "unpause":
            furnished.ok("pause", "runner")
        assert outcome(SAMPAN, f"{verb} runner", furnished) == (0, "runner\n", "")
        again = f"{verb} runner"
        assert outcome(SAMPAN, again, furnished) == outcome(furnished.binary, again, furnished)
        furnished.run(back, "runner")
    furnished.ok("unpause", "runner")
