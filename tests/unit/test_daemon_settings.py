"""What settings mean."""

import pytest

from sampan import config as configuration
from sampan.daemon.settings import shutdown_patience


@pytest.mark.parametrize(
    ("configured", "own", "patience"),
    [
        (15, [], 15),
        (15, [10, 10], 15),
        (15, [30, 1], 35),
        (1, [10], 15),
        (600, [1], 600),
        (-1, [1], None),
        (15, [10, -1], None),
        (0, [], 0),
    ],
)
def test_how_long_a_stopping_daemon_waits(tmp_path, configured, own, patience):
    config = configuration.load([f"--shutdown-timeout={configured}", f"--data-root={tmp_path}"])
    assert shutdown_patience(config, own) == patience
