"""Image references as people write them."""

from __future__ import annotations

import pytest

from sampan.cli.reference import parse
from sampan.errors import InvalidArgument

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "", "", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox", "1.36", "", "busybox"),
        ("user/app", "docker.io/user/app", "", "", "user/app"),
        ("docker.io/app", "docker.io/library/app", "", "", "app"),
        ("index.docker.io/app", "docker.io/library/app", "", "", "app"),
        ("localhost/app", "localhost/app", "", "", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app", "v1", "", "localhost:5000/app"),
        ("reg.example/a/b/c:t", "reg.example/a/b/c", "t", "", "reg.example/a/b/c"),
        (f"app@{DIGEST}", "docker.io/library/app", "", DIGEST, "app"),
        (f"app:t@{DIGEST}", "docker.io/library/app", "t", DIGEST, "app"),
    ],
)
def test_references(text, repository, tag, digest, familiar):
    found = parse(text)
    assert (found.repository, found.tag, found.digest, found.familiar) == (repository, tag, digest, familiar)


@pytest.mark.parametrize(
    "text", ["", "a:b:c", "app:", "app@", "app@sha256:xy", "-app", "a//b", "app:-t", "a b", "app:t@"]
)
def test_what_is_no_reference(text):
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        parse(text)


def test_upper_case_is_named_as_the_reason():
    with pytest.raises(InvalidArgument, match=r"repository name \(library/Foo\) must be lowercase"):
        parse("Foo:x")
