"""`sampan container update`."""

from __future__ import annotations

from sampan.cli.command import Command
from sampan.cli.commands import describe
from sampan.cli.commands.container.options import FLAGS
from sampan.cli.commands.container.readers import restart_policy
from sampan.cli.flags import Exit, Flag
from sampan.errors import SampanError
from sampan.wire.containers import UpdateRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

NUMBERS = {
    "blkio-weight": "blkio_weight",
    "cpu-period": "cpu_period",
    "cpu-quota": "cpu_quota",
    "cpu-rt-period": "cpu_realtime_period",
    "cpu-rt-runtime": "cpu_realtime_runtime",
    "cpu-shares": "cpu_shares",
    "cpus": "nano_cpus",
    "memory": "memory",
    "memory-reservation": "memory_reservation",
    "memory-swap": "memory_swap",
}
TEXTS = {"cpuset-cpus": "cpuset_cpus", "cpuset-mems": "cpuset_mems"}

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        *(flag for flag in FLAGS if flag.name in (*NUMBERS, *TEXTS, "pids-limit")),
        Flag("restart", "string", "Restart policy to apply when a container exits"),
    ),
    1,
)


def run(cli: Cli, arguments: Arguments) -> int:
    if not any(arguments.given(flag.name) for flag in COMMAND.flags):
        raise Exit(1, "you must provide one or more flags when using this command")
    request = _request(arguments)
    warnings: list[str] = []
    errors: list[str] = []
    for ref in arguments.words:
        try:
            answer = cli.run(cli.engine.containers.update(ref, request))
            cli.out(f"{ref}\n")
            warnings += answer.warnings or ()
        except SampanError as error:
            errors.append(describe(error))
    if warnings:
        cli.out("\n".join(warnings) + "\n")
    for message in errors:
        cli.err(message)
    return 1 if errors else 0


def _request(arguments: Arguments) -> UpdateRequest:
    request = UpdateRequest()
    for name, attribute in NUMBERS.items():
        setattr(request, attribute, arguments.number(name))
    for name, attribute in TEXTS.items():
        setattr(request, attribute, arguments.text(name))
    if arguments.given("pids-limit"):
        request.pids_limit = arguments.number("pids-limit")
    if arguments.given("restart"):
        request.restart_policy = restart_policy(arguments.text("restart"))
    return request
