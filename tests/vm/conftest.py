"""Tests for the virtual machine of `./dev test --vm`: the guest's own sampand, a systemd service, is the engine."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    if "SAMPAN_TEST_VM" not in os.environ:
        pytest.skip("only in the virtual machine of ./dev test --vm")
