"""Ids and names of containers."""

from __future__ import annotations

import re
import secrets

from sampan.errors import InvalidArgument

_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_HEX = re.compile(r"[0-9a-f]{1,64}")

_ADJECTIVES = (
    "able amber ample azure balmy bold brave breezy bright brisk calm candid clear clever cosy crisp daring deft eager "
    "early earnest easy fair fleet fond frank fresh gentle glad golden grand hale happy hardy honest humble jolly keen "
    "kind lively loyal lucid lucky mellow merry mild modest neat nimble noble patient placid plucky polite proud quick "
    "quiet rapid ready regal robust rosy serene sharp silver sincere sleek smart snug sober solid spry stable steady "
    "still stout sunny swift tidy tranquil trim trusty upbeat vivid warm wise witty zesty"
).split()
_BOATS = (
    "barge bark barkentine brig brigantine caravel carrack catboat clipper cog coracle corvette cutter "
    "dhow dinghy dory felucca ferry frigate galleon galley gondola gig gulet hooker junk kayak ketch keelboat "
    "knarr launch lighter longship lorcha lugger outrigger packet pinnace pirogue pram proa punt raft schooner scow "
    "shallop skiff skipjack sloop smack tartane tender tjalk trawler trimaran trireme tug wherry whaler xebec yawl"
).split()


def new_id() -> str:
    """A fresh id: 64 hexadecimal digits, never all decimal in its short form (it would look like a number)."""
    while True:
        value = secrets.token_hex(32)
        if not value[:12].isdecimal():
            return value


def random_name() -> str:
    """A name for a container that was given none; the caller checks that it is free."""
    return f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_BOATS)}"


def check_name(name: str) -> str:
    """The name without its leading slash. Raises InvalidArgument."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def is_id_prefix(ref: str) -> bool:
    """Whether `ref` could be the beginning of an id."""
    return bool(_HEX.fullmatch(ref))
