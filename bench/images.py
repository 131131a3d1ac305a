"""The image that loading is measured with: 300 MB in ten layers of 1,400 entries each, the same bytes every time."""

from __future__ import annotations

import random

from rig import image

LAYERS = 10
FILES = 1400
LAYER_BYTES = 30_000_000
NAME = "docker.io/library/large:1"


def layer(number: int) -> bytes:
    """Files from 100 bytes to 2 MB whose sizes fall off as those of a real root do; half text-like, half random."""
    dice = random.Random(number)
    weights = [dice.paretovariate(0.8) for _ in range(FILES)]
    scale = LAYER_BYTES / sum(min(weight, 100) for weight in weights)
    made = image.Layer()
    made.folder(f"data{number}")
    for index, weight in enumerate(weights):
        if index % 50 == 0:
            made.folder(f"data{number}/folder{index // 50}")
        size = int(min(weight, 100) * scale)
        data = dice.randbytes(size) if index % 2 else (b"%d line of text in file %d\n" % (number, index)) * (size // 24)
        made.add(f"data{number}/folder{index // 50}/file{index}", data[:size])
    return made.finish()


def archive() -> bytes:
    """A docker archive with plain layers, as `docker save` writes it."""
    return image.archive({NAME: ({"Cmd": ["true"]}, [layer(number) for number in range(LAYERS)])})
