"""A registry in a folder of its own, served on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rig.registry import Client, served
from sampan.registry.repositories import Registry
from sampan.registry.storage.filesystem import FileStorage


@pytest.fixture
async def storage(tmp_path) -> AsyncIterator[FileStorage]:
    made = FileStorage(tmp_path / "root")
    yield made
    await made.close()


@pytest.fixture
def registry(storage) -> Registry:
    return Registry(storage)


@pytest.fixture
async def client(registry) -> AsyncIterator[Client]:
    async with served(registry) as made:
        yield made
