"""The grammar of flags."""

from __future__ import annotations

import pytest

from sampan.cli.flags import Flag, UsageError, parse

FLAGS = (
    Flag("detach", "bool", "", "d"),
    Flag("interactive", "bool", "", "i"),
    Flag("tty", "bool", "", "t"),
    Flag("proxy", "bool", "", default=True),
    Flag("publish", "list", "", "p"),
    Flag("name", "string", "", "n", aliases=("nom",)),
    Flag("time", "int", "", "T", default=-1),
    Flag("memory", "bytes", "", "m"),
    Flag("cpus", "decimal", ""),
    Flag("wait", "duration", ""),
    Flag("alias", "strings", ""),
)


@pytest.mark.parametrize(
    ("argv", "words", "values"),
    [
        (["-itd", "x"], ["x"], {"interactive": True, "tty": True, "detach": True}),
        (["-i=false", "-t=1"], [], {"interactive": False, "tty": True}),
        (["--proxy=false", "a"], ["a"], {"proxy": False}),
        (
            ["-p80:80", "-p", "1:2", "-p=3:4", "--publish=5:6", "--publish", "7:8"],
            [],
            {"publish": ["80:80", "1:2", "3:4", "5:6", "7:8"]},
        ),
        (["-itp", "1:2", "-dp3:4"], [], {"publish": ["1:2", "3:4"], "detach": True}),
        (["--name", "a", "--name=b"], [], {"name": "b"}),
        (["--nom", "a"], [], {"name": "a"}),
        (["--name="], [], {"name": ""}),
        (["--name", "-x"], [], {"name": "-x"}),
        (["a", "-d", "b"], ["a", "b"], {"detach": True}),
        (["-d", "--", "-i", "--x"], ["-i", "--x"], {"detach": True, "interactive": False}),
        (["-"], ["-"], {}),
        (["-T", "-5"], [], {"time": -5}),
        (["-m", "64m"], [], {"memory": 64 << 20}),
        (["--memory=-1"], [], {"memory": -1}),
        (["--cpus", "1.5"], [], {"cpus": 1_500_000_000}),
        (["--wait", "1m30s"], [], {"wait": 90 * 10**9}),
        (["--alias", "a,b", "--alias=c"], [], {"alias": ["a", "b", "c"]}),
    ],
)
def test_what_is_understood(argv, words, values):
    arguments = parse(FLAGS, argv)
    assert arguments.words == words
    for name, value in values.items():
        assert arguments._get(name, False) == value
    assert arguments.given("detach") is any("d" in word for word in argv if word.startswith("-") and word[:2] != "--")


def test_the_first_word_may_end_flags():
    arguments = parse(FLAGS, ["-d", "image", "-i", "--x", "--"], interspersed=False)
    assert (arguments.words, arguments.truth("detach"), arguments.truth("interactive")) == (
        ["image", "-i", "--x", "--"],
        True,
        False,
    )


def test_defaults():
    arguments = parse(FLAGS, [])
    assert (arguments.number("time"), arguments.truth("proxy"), arguments.text("name")) == (-1, True, "")
    assert (arguments.texts("publish"), arguments.given("time")) == ([], False)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["--bogus=1"], "unknown flag: --bogus"),
        (["-dx"], "unknown shorthand flag: 'x' in -dx"),
        (["--name"], "flag needs an argument: --name"),
        (["-dn"], "flag needs an argument: 'n' in -dn"),
        (["-T", "x"], 'invalid argument "x" for "-T, --time" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (
            ["--tty=maybe"],
            'invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (["-m", "foo"], 'invalid argument "foo" for "-m, --memory" flag: invalid size: \'foo\''),
        (["--cpus", "x"], 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number'),
        (["--wait", "5"], 'invalid argument "5" for "--wait" flag: invalid duration "5"'),
    ],
)
def test_what_is_refused(argv, message):
    with pytest.raises(UsageError) as raised:
        parse(FLAGS, argv)
    assert str(raised.value).startswith(message)
