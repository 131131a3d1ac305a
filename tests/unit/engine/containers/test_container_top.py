"""Cutting the output of ps down to a container's processes."""

import pytest

from sampan.engine.containers.top import _ENVIRONMENT, check_arguments, cut, top
from sampan.errors import Internal

OUTPUT = """UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 10:00 ?        00:00:01 /sbin/init splash
root          42       1  0 10:00 ?        00:00:00 sh -c  echo   a b
daemon        43      42  0 10:00 ?        00:00:00 sleep 5
"""


def test_rows_of_the_processes_in_columns():
    found = cut(OUTPUT, {42, 43})
    assert found.titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert found.processes == [
        ["root", "42", "1", "0", "10:00", "?", "00:00:00", "sh -c echo a b"],
        ["daemon", "43", "42", "0", "10:00", "?", "00:00:00", "sleep 5"],
    ]


def test_threads_belong_to_the_process_before_them():
    output = "PID LWP CMD\n1 - init\n- 1 -\n42 - sh\n- 42 -\n- 44 -\n"
    assert cut(output, {42}).processes == [["42", "-", "sh"], ["-", "42", "-"], ["-", "44", "-"]]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("", "Couldn't find PID field"),
        ("CMD\ninit\n", "Couldn't find PID field"),
        ("PID CMD\nsh 42\n", "Unexpected pid 'sh'"),
    ],
)
def test_output_that_says_nothing_of_processes(output, said):
    with pytest.raises(Internal, match=said):
        cut(output, {42})


def test_a_command_may_contain_other_spaces():
    assert cut("PID CMD\n7 a\u00a0b\n", {7}).processes == [["7", "a\u00a0b"]]


def test_another_column_may_not_be_called_pid():
    with pytest.raises(Internal, match='specifying "x=PID" is not allowed'):
        check_arguments("-o x=PID")
    check_arguments("-o pid=PID -o cmd=C")


async def test_a_ps_that_says_nothing_is_told_by_its_exit_code(tmp_path, monkeypatch):
    silent = tmp_path / "ps"
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    monkeypatch.setitem(_ENVIRONMENT, "PATH", f"{tmp_path}:{_ENVIRONMENT['PATH']}")
    with pytest.raises(Internal, match="ps: it ended with exit code 3"):
        await top("-1", {1})
