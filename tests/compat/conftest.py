"""Two engines side by side: a genuine dockerd and the one under test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.care import load
from rig.differential import clean
from rig.engines import TEST_HOST, Engine, GenuineDockerd


@pytest.fixture(scope="module")
def pair(genuine: Engine, request: pytest.FixtureRequest) -> Iterator[tuple[Engine, Engine]]:
    """Both engines with the busybox image and nothing else. SAMPAN_TEST_HOST=genuine compares two genuine ones."""
    if TEST_HOST == "genuine":
        other: Engine = GenuineDockerd()
        request.addfinalizer(other.close)
        other.start()
    else:
        other = request.getfixturevalue("sampand")
    for engine in (genuine, other):
        clean(engine)
        load(engine)
    yield genuine, other
    clean(genuine)
