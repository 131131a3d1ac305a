"""From the flags of run to the body of create. What the real command line sends is compared in tests/compat."""

from __future__ import annotations

import pytest

from sampan.cli.commands.container.create import COMMAND
from sampan.cli.commands.container.request import build
from sampan.cli.flags import UsageError, parse
from sampan.errors import InvalidArgument
from sampan.wire.base import Empty
from sampan.wire.containers import BindOptions, PortBinding, TmpfsOptions
from sampan.wire.networks import EndpointIPAMConfig, EndpointSettings


def request(*argv: str, environ=None):
    return build(parse(COMMAND.flags, [*argv, "image"], COMMAND.interspersed), environ or {})


def host(*argv: str):
    return request(*argv).host_config


def test_words_after_the_image_are_the_command():
    arguments = parse(COMMAND.flags, ["-i", "image", "sh", "-c", "--rm"], COMMAND.interspersed)
    made = build(arguments, {})
    assert (made.image, made.cmd, made.open_stdin) == ("image", ["sh", "-c", "--rm"], True)
    assert made.host_config is not None and not made.host_config.auto_remove


@pytest.mark.parametrize(
    ("argv", "attached", "once"),
    [
        ((), (False, True, True), False),
        (("-i",), (True, True, True), True),
        (("-a", "stdout"), (False, True, False), False),
        (("-a", "STDIN", "-a", "stderr", "-i"), (True, False, True), True),
    ],
)
def test_attached_streams(argv, attached, once):
    made = request(*argv)
    assert (made.attach_stdin, made.attach_stdout, made.attach_stderr) == attached
    assert made.stdin_once is once


def test_environment(tmp_path):
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=1\nHOME\nGONE\n")
    made = request("--env-file", str(file), "-e", "B", "-e", "C=2", "-e", "HOME", environ={"HOME": "/root"})
    assert made.env == ["A=1", "HOME=/root", "B", "C=2", "HOME=/root"]


@pytest.mark.parametrize("line", ["=x", "a b=c", "\tb c"])
def test_bad_lines_of_an_environment_file(tmp_path, line):
    file = tmp_path / "env"
    file.write_text(f"{line}\n")
    with pytest.raises(InvalidArgument, match="invalid env file"):
        request("--env-file", str(file))


def test_ports():
    made = request("-p", "127.0.0.1:8080:80", "-p", "[::1]::53/udp", "-p", "90-91:90-91", "--expose", "100-101/tcp")
    assert made.host_config is not None
    assert made.host_config.port_bindings == {
        "80/tcp": [PortBinding(host_ip="127.0.0.1", host_port="8080")],
        "53/udp": [PortBinding(host_ip="::1", host_port="")],
        "90/tcp": [PortBinding(host_port="90")],
        "91/tcp": [PortBinding(host_port="91")],
    }
    assert made.exposed_ports == dict.fromkeys(("80/tcp", "53/udp", "90/tcp", "91/tcp", "100/tcp", "101/tcp"), Empty())


@pytest.mark.parametrize("spec", ["x", "99999", "80:", "a:80", "80/foo", "1-2:1-3", "3-1", "300.1.1.1:80:80"])
def test_bad_ports(spec):
    with pytest.raises(InvalidArgument):
        request("-p", spec)


def test_volumes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = request("-v", "/anonymous", "-v", "name:/a:ro", "-v", "./here:/b", "-v", "../up:/c")
    assert made.volumes == {"/anonymous": Empty()}
    assert made.host_config is not None
    assert made.host_config.binds == ["name:/a:ro", f"{tmp_path}/here:/b", f"{tmp_path.parent}/up:/c"]


def test_mounts():
    (bind,) = host("--mount", "type=bind,source=/a,target=/b,readonly,bind-propagation=rslave").mounts
    assert (bind.type, bind.source, bind.target, bind.read_only) == ("bind", "/a", "/b", True)
    assert bind.bind_options == BindOptions(propagation="rslave")
    (tmpfs,) = host("--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700").mounts
    assert tmpfs.tmpfs_options == TmpfsOptions(size_bytes=1 << 20, mode=0o700)
    (volume,) = host("--mount", '"source=v,with,commas",dst=/c,volume-opt=a=b').mounts
    assert (volume.type, volume.source) == ("volume", "v,with,commas")
    assert volume.volume_options.driver_config.options == {"a": "b"}


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "type=bind,src=/a",
        "dst=/b,foo=1",
        "dst=/b,readonly=maybe",
        "type=bind,dst=/b,volume-nocopy",
        "type=tmpfs,dst=/b,tmpfs-size=x",
    ],
)
def test_bad_mounts(spec):
    with pytest.raises(UsageError, match="--mount"):
        request("--mount", spec)


def test_networks():
    assert request().networking_config.endpoints_config == {"default": EndpointSettings()}
    assert host().network_mode == "default"
    assert request("--network", "host").networking_config.endpoints_config == {}
    made = request("--network", "a", "--network", "name=b,alias=x", "--ip", "1.2.3.4", "--network-alias", "y")
    assert made.host_config.network_mode == "a"
    assert made.networking_config.endpoints_config == {
        "a": EndpointSettings(ipam_config=EndpointIPAMConfig(ipv4_address="1.2.3.4"), aliases=["y"]),
        "b": EndpointSettings(aliases=["x"]),
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--network", "a", "--network", "a"), "specified multiple times"),
        (("--network", "host", "--network", "a"), "user-defined"),
        (("--rm", "--restart", "always"), "--restart and --rm"),
        (("--restart", "on-failure:x"), "retry count"),
        (("--memory-swappiness", "101"), "0-100"),
        (("--pid", "x"), "PID mode"),
        (("--health-cmd", "x", "--no-healthcheck"), "conflicts"),
        (("--health-retries", "-1"), "negative"),
        (("--log-driver", "none", "--log-opt", "a=b"), "logging opts"),
        (("--storage-opt", "x"), "storage option"),
        (("--security-opt", "x"), "security-opt"),
        (("--security-opt", "seccomp=/nosuch"), "no such file"),
        (("--device", "x"), "absolute path"),
        (("-a", "x"), "valid streams"),
        (("-v", ""), "empty volume"),
    ],
)
def test_what_makes_no_sense_together(argv, message):
    with pytest.raises(InvalidArgument, match=message):
        request(*argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("--ulimit", "nofile"),
        ("--ulimit", "foo=1"),
        ("--ulimit", "nofile=5:4"),
        ("--sysctl", "vm.x=1"),
        ("--add-host", "a"),
        ("--add-host", "a:x"),
        ("--dns", "x"),
        ("--device-read-bps", "sda:1"),
        ("--device-read-bps", "/dev/sda:x"),
        ("--device-read-iops", "/dev/sda:1k"),
        ("--blkio-weight-device", "/dev/sda:5"),
        ("--device-cgroup-rule", "x"),
        ("-e", "=x"),
        ("--gpus", "foo=1"),
        ("--network", "name=a,foo=1"),
        ("--network", "alias=1"),
    ],
)
def test_values_that_are_refused_where_they_stand(argv):
    with pytest.raises(UsageError, match=f'"{argv[1]}"'):
        request(*argv)


def test_capabilities_are_made_regular():
    assert host("--cap-add", "net_admin", "--cap-add", "CAP_NET_ADMIN", "--cap-add", "all").cap_add == [
        "ALL",
        "CAP_NET_ADMIN",
    ]


def test_health_and_entrypoint():
    made = request("--health-cmd", "true", "--health-interval", "2s", "--entrypoint", "")
    assert made.healthcheck.test == ["CMD-SHELL", "true"] and made.healthcheck.interval == 2 * 10**9
    assert made.entrypoint == [""]
    assert request("--no-healthcheck").healthcheck.test == ["NONE"]
