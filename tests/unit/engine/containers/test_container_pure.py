"""The pure parts of containers: names, signals, merging, mounts, transitions, refusals, detach keys, listing."""

import pytest

from sampan.engine.containers import names, signals, transitions
from sampan.engine.containers.detachkeys import DetachScanner, parse_detach_keys
from sampan.engine.containers.listing import Listed, select
from sampan.engine.containers.logs import plan_log
from sampan.engine.containers.merge import Defaults, complete_host, merge_image
from sampan.engine.containers.mounts import parse_bind, parse_mount, wanted_mounts
from sampan.engine.containers.record import ContainerRecord, State, decode, encode
from sampan.engine.containers.refusals import explain
from sampan.engine.containers.render import describe, human_duration, render_summary
from sampan.errors import InvalidArgument, NotFound
from sampan.oci.documents import RunConfig
from sampan.wire.base import Empty
from sampan.wire.containers import (
    ContainerConfig,
    HealthConfig,
    HostConfig,
    LogConfig,
    Mount,
    MountPoint,
    NetworkingConfig,
    RestartPolicy,
    TmpfsOptions,
    VolumeOptions,
)

DEFAULTS = Defaults(
    log_driver="json-file", log_opts={}, runtime="crun", ipc_mode="private", cgroupns_mode="host", shm_size=64 << 20
)
SECOND = 1_000_000_000


def make_record(**changes):
    values = {
        "id": "a" * 64,
        "name": "web",
        "created": 5 * SECOND,
        "image_id": "sha256:1",
        "image_name": "busybox",
        "platform": "linux",
        "config": ContainerConfig(cmd=["sleep", "10"], labels={"a": "b"}),
        "host_config": HostConfig(network_mode="none"),
        "networking": NetworkingConfig(),
        "mounts": [],
        "log_path": "",
    }
    return ContainerRecord(**(values | changes))


def test_a_record_comes_back_from_its_row():
    record = make_record(state=State(status="exited", exit_code=3), mounts=[MountPoint(type="tmpfs", destination="/t")])
    assert decode(encode(record)) == record


@pytest.mark.parametrize("name", ["", "a", "-x", "a b", "a/b", "é1", "/", "//ab", "a\n"])
def test_bad_names_are_refused(name):
    with pytest.raises(InvalidArgument):
        names.check_name(name)


def test_good_names_lose_their_slash():
    assert names.check_name("/web-1.x_y") == "web-1.x_y"


def test_ids_are_hexadecimal_and_never_look_like_a_number():
    for _ in range(50):
        assert len(names.new_id()) == 64
        assert not names.new_id()[:12].isdecimal()


@pytest.mark.parametrize(
    ("text", "number"), [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGRTMIN+3", 37), ("rtmax-1", 63), ("USR1", 10)]
)
def test_signals_have_many_names(text, number):
    assert signals.parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "FOO", "SIG", "-9", "9x", "RTMIN+99"])
def test_unknown_signals_are_refused(text):
    with pytest.raises(InvalidArgument, match="signal"):
        signals.parse_signal(text)


def test_what_the_user_set_wins_over_the_image():
    image = RunConfig(
        env=["PATH=/bin", "A=image"],
        cmd=["run"],
        entrypoint=["/entry"],
        labels={"a": "image", "b": "image"},
        user="www",
        working_dir="/srv",
        volumes={"/data": {}},
        stop_signal="SIGINT",
    )
    merged = merge_image(ContainerConfig(env=["A=user", "B"], labels={"a": "user"}, cmd=["mine"]), image)
    assert merged.env == ["A=user", "B", "PATH=/bin"]
    assert merged.labels == {"a": "user", "b": "image"}
    assert (merged.entrypoint, merged.cmd) == (["/entry"], ["mine"])
    assert (merged.user, merged.working_dir, merged.stop_signal) == ("www", "/srv", "SIGINT")
    assert merged.volumes == {"/data": Empty()}


def test_an_entrypoint_of_the_user_drops_the_images_command():
    image = RunConfig(cmd=["run"], entrypoint=["/entry"])
    merged = merge_image(ContainerConfig(entrypoint=["/mine"]), image)
    assert (merged.entrypoint, merged.cmd) == (["/mine"], None)


def test_an_empty_entrypoint_removes_the_images():
    merged = merge_image(ContainerConfig(entrypoint=[""], cmd=["x"]), RunConfig(entrypoint=["/entry"]))
    assert (merged.entrypoint, merged.cmd) == (None, ["x"])


def test_nothing_to_run_is_refused():
    with pytest.raises(InvalidArgument, match="no command specified"):
        merge_image(ContainerConfig(), RunConfig())


def test_health_checks_merge_field_by_field():
    from sampan.oci.documents import Healthcheck

    image = RunConfig(cmd=["x"], healthcheck=Healthcheck(test=["CMD", "a"], interval=5, retries=3))
    merged = merge_image(ContainerConfig(healthcheck=HealthConfig(interval=7)), image)
    assert merged.healthcheck == HealthConfig(test=["CMD", "a"], interval=7, retries=3)


def test_hosts_get_the_daemons_defaults():
    host = complete_host(HostConfig(memory=10_000_000), DEFAULTS)
    assert host.network_mode == "bridge"
    assert host.memory_swap == 20_000_000
    assert host.log_config == LogConfig(type="json-file", config={})
    assert "/proc/kcore" in (host.masked_paths or [])
    assert host.restart_policy.name == "no"


def test_privileged_containers_hide_no_paths():
    host = complete_host(HostConfig(privileged=True), DEFAULTS)
    assert host.masked_paths is None
    assert host.readonly_paths is None


def test_binds_are_read_as_docker_reads_them():
    assert parse_bind("/a//b/../c:/x:ro,rslave").point() == MountPoint(
        type="bind", source="/a/c", destination="/x", mode="ro,rslave", rw=False, propagation="rslave"
    )
    named = parse_bind("data:/x:nocopy")
    assert (named.kind, named.source, named.no_copy, named.anonymous) == ("volume", "data", True, False)
    assert parse_bind("/x").anonymous


@pytest.mark.parametrize(
    "text", ["", ":", ":/b", "/a:", "/a:b", "/a:/", "/a:/b:zz", "/a:/b:ro,rw", "/a:/b:ro:x", "a b:/x", "a:/b:rslave"]
)
def test_bad_binds_are_refused(text):
    with pytest.raises(InvalidArgument):
        parse_bind(text)


@pytest.mark.parametrize(
    "mount",
    [
        Mount(type="x", target="/x"),
        Mount(target="/x"),
        Mount(type="bind", target="/x"),
        Mount(type="bind", source="rel", target="/x"),
        Mount(type="bind", source="/surely/not/there", target="/x"),
        Mount(type="volume", source="/x", target="/x"),
        Mount(type="volume", source="v"),
        Mount(type="volume", source="v", target="x"),
        Mount(type="tmpfs", source="v", target="/x"),
        Mount(type="tmpfs", target="/x", volume_options=VolumeOptions()),
        Mount(type="volume", target="/x", tmpfs_options=TmpfsOptions()),
    ],
)
def test_bad_mounts_are_refused(mount):
    with pytest.raises(InvalidArgument, match=r"invalid|must not be specified"):
        parse_mount(mount)


def test_a_target_can_be_mounted_once():
    with pytest.raises(InvalidArgument, match="Duplicate mount point: /b"):
        wanted_mounts(ContainerConfig(), HostConfig(binds=["/a:/b", "/c:/b/"]), [])


def test_volumes_of_the_image_give_way_to_what_is_mounted_there():
    config = ContainerConfig(volumes={"/b": Empty(), "/v": Empty()})
    wanted = wanted_mounts(config, HostConfig(binds=["/a:/b"]), [])
    assert [(w.kind, w.target) for w in wanted] == [("bind", "/b"), ("volume", "/v")]


def test_exit_codes_are_dockers():
    assert transitions.exit_code(3 << 8) == 3
    assert transitions.exit_code(9) == 137


@pytest.mark.parametrize(
    ("policy", "state", "expected"),
    [
        (RestartPolicy(name="no"), State(exit_code=1), False),
        (RestartPolicy(name="always"), State(exit_code=0), True),
        (RestartPolicy(name="always"), State(stopped_by_hand=True), False),
        (RestartPolicy(name="on-failure"), State(exit_code=0), False),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), State(exit_code=1, restart_count=1), True),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), State(exit_code=1, restart_count=2), False),
        (RestartPolicy(name="unless-stopped"), State(exit_code=0), True),
    ],
)
def test_restart_policies(policy, state, expected):
    assert transitions.restarts(policy, state) is expected


def test_restart_delays_double_up_to_a_minute_and_fall_back():
    delays = [0.0]
    for _ in range(12):
        delays.append(transitions.next_delay(delays[-1], ran_for=0))
    assert delays[1:4] == [0.1, 0.2, 0.4]
    assert delays[-1] == 60
    assert transitions.next_delay(60, ran_for=11) == 0.1


@pytest.mark.parametrize(
    ("words", "program", "message", "code"),
    [
        (
            "executable file `x` not found in $PATH: No such file or directory\n",
            "x",
            'exec: "x": executable file not found in $PATH',
            127,
        ),
        (
            "executable file `/x` not found in $PATH: No such file or directory\n",
            "/x",
            'exec: "/x": stat /x: no such file or directory',
            127,
        ),
        ("open executable: Operation not permitted", "/etc", 'exec: "/etc": is a directory: permission denied', 126),
        ("open executable: Permission denied", "/f", 'exec: "/f": permission denied', 126),
        (
            'time="t" level=error msg="runc run failed: unable to start container process: exec: \\"x\\": '
            'executable file not found in $PATH"',
            "x",
            'exec: "x": executable file not found in $PATH',
            127,
        ),
        ("chdir `/f`: Not a directory", "x", "chdir `/f`: not a directory", 128),
        ("", "x", "the runtime gave no reason", 128),
        (
            "error opening file `/run/sampan/runtime/0123/status`: No such file or directory",
            "sleep",
            "the container `0123` is not running",
            128,
        ),
    ],
)
def test_runtimes_words_become_dockers(words, program, message, code):
    failure = explain(words, [program])
    assert str(failure).endswith(f"unable to start container process: {message}")
    assert failure.exit_code == code


def test_detach_keys():
    assert parse_detach_keys("") == b"\x10\x11"
    assert parse_detach_keys("a,ctrl-[,ctrl-X") == b"a\x1b\x18"
    for bad in ("ctrl-", "ab", "ctrl-1", ",", "ctrl-é"):
        with pytest.raises(InvalidArgument):
            parse_detach_keys(bad)


def test_the_scanner_holds_back_only_what_may_be_the_sequence():
    scanner = DetachScanner(b"\x10\x11")
    assert scanner.feed(b"ab\x10") == (b"ab", False)
    assert scanner.feed(b"c\x10") == (b"\x10c", False)
    assert scanner.feed(b"\x11rest") == (b"", True)
    scanner = DetachScanner(b"\x10\x11")
    assert scanner.feed(b"\x10") == (b"", False)
    assert scanner.rest() == b"\x10"


def test_log_options():
    assert plan_log(LogConfig(type="json-file", config={}), ContainerConfig()).max_file == 10
    plan = plan_log(
        LogConfig(type="json-file", config={"max-size": "10m", "labels": "a,b"}), ContainerConfig(labels={"a": "1"})
    )
    assert (plan.max_size, plan.max_file, plan.compress, plan.attributes) == (10 << 20, 1, False, {"a": "1"})
    for driver, options in [
        ("nope", {}),
        ("json-file", {"x": "y"}),
        ("json-file", {"max-size": "x"}),
        ("json-file", {"max-size": "0"}),
        ("local", {"max-file": "0"}),
        ("json-file", {"compress": "maybe"}),
        ("json-file", {"mode": "odd"}),
    ]:
        with pytest.raises(InvalidArgument):
            plan_log(LogConfig(type=driver, config=options), ContainerConfig())


def test_statuses_in_words():
    now = 1_000_000 * SECOND
    assert describe(State(status="running", started_at=now), "running", None, now) == "Up Less than a second"
    assert (
        describe(State(exit_code=3, finished_at=now - 120 * SECOND), "exited", None, now) == "Exited (3) 2 minutes ago"
    )
    assert human_duration(3600 * SECOND) == "About an hour"
    assert human_duration(50 * 3600 * SECOND) == "2 days"


def listed(name, created, status="running", **changes):
    record = make_record(id=name * 32, name=name * 2, created=created, **changes)
    return Listed(record, status, "", ["none"])


def chosen(rows, filters, everything=False, limit=0):
    return [row.record.name[0] for row in select(rows, everything, limit, filters, lambda _: {"sha256:1"})]


def test_lists_are_newest_first_and_hide_what_does_not_run():
    rows = [listed("ab", 1), listed("cd", 3, "exited"), listed("ef", 2)]
    assert chosen(rows, {}) == ["e", "a"]
    assert chosen(rows, {}, everything=True) == ["c", "e", "a"]
    assert chosen(rows, {}, limit=2) == ["c", "e"]
    assert chosen(rows, {"status": ["exited"]}) == ["c"]
    assert chosen(rows, {"name": ["^abab$"]}) == ["a"]
    assert chosen(rows, {"label": ["a=b"], "network": ["none"]}) == ["e", "a"]
    assert chosen(rows, {"label": ["a=x"]}) == []
    assert chosen(rows, {"before": ["efef"]}) == ["a"]
    assert chosen(rows, {"since": ["efef"]}) == ["c"]


@pytest.mark.parametrize(
    "filters",
    [
        {"x": ["y"]},
        {"status": ["odd"]},
        {"exited": ["x"]},
        {"health": ["ill"]},
        {"publish": ["x"]},
    ],
)
def test_odd_filters_are_refused(filters):
    with pytest.raises(InvalidArgument):
        chosen([listed("ab", 1)], filters)


def test_before_and_since_must_name_a_container():
    with pytest.raises(NotFound, match="No such container: nobody"):
        chosen([listed("ab", 1)], {"before": ["nobody"]})


def test_a_summary_quotes_arguments_with_spaces():
    row = render_summary(make_record(config=ContainerConfig(cmd=["sh", "-c", "a b"])), "running", None, "i", {}, {})
    assert row.command == "sh -c 'a b'"
