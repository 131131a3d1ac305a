"""What the daemon keeps of each process so that a successor of the monitor can go on with it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field

from sampan.monitor.files import close_all
from sampan.monitor.protocol import STARTING_ONLY, Files, Message
from sampan.monitor.requests import Channel, ProcessInfo, info_of


@dataclass
class Live:
    """One process: what was asked for, what is known, our descriptors of it, its attached clients by number."""

    record: Message
    info: ProcessInfo
    files: Files
    channels: dict[int, Channel] = field(default_factory=dict)

    def started(self, answer: Message, files: Files) -> None:
        """The monitor's answer to the start."""
        self.files |= files
        if "error" not in answer:
            self.running(info_of(answer))

    def running(self, info: ProcessInfo) -> None:
        self.info = info
        self.record = {key: value for key, value in self.record.items() if key not in STARTING_ONLY}
        if "console" in self.files:
            os.close(self.files.pop("console"))

    def handed_over(self) -> tuple[Message, Files]:
        """The request to adopt it, and its descriptors. Of an ended one only the runtime's delete is left to do."""
        attached = {number: channel for number, channel in self.channels.items() if not channel.closed}
        channels = [{"channel": number, **channel.wants} for number, channel in attached.items()]
        files = {f"channel{number}": channel.far.fileno() for number, channel in attached.items()}
        record = {**self.record, "log": None} if self.info.state == "exited" else self.record
        return {"record": record, "facts": asdict(self.info), "channels": channels}, self.files | files

    def close(self) -> None:
        close_all(self.files)
        self.files.clear()
        for channel in self.channels.values():
            channel.far.close()
        self.channels.clear()
