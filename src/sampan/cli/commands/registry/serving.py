"""What `serve` and `gc` share: which registry."""

from __future__ import annotations

from sampan.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments
    from sampan.registry.config import RegistryConfig

FLAGS = (
    Flag("config", "string", "Configuration file (TOML)"),
    Flag("root", "string", "Folder of the registry's data"),
)
S3_VARIABLES = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
}


def configured(cli: Cli, arguments: Arguments) -> tuple[RegistryConfig, Path | None]:
    """The configuration, S3's keys filled in from the environment where it has none, and the root folder."""
    from pathlib import Path

    from sampan.registry.config import RegistryConfig, load

    config = load(Path(arguments.text("config"))) if arguments.text("config") else RegistryConfig()
    s3 = config.storage.s3
    if s3 is not None and not s3.access_key_id:
        for name, variable in S3_VARIABLES.items():
            setattr(s3, name, cli.environ.get(variable, ""))
    return config, Path(arguments.text("root")) if arguments.text("root") else None
