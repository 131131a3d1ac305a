from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sampan.errors import InvalidArgument
from sampan.oci.digest import Digest
from sampan.oci.reference import Reference, parse_any

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("me/app", "docker.io/me/app", "me/app"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("localhost/a", "localhost/a", "localhost/a"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("UPPER/a", "UPPER/a", "UPPER/a"),
        ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
        (f"a@sha256:{HEX}", f"docker.io/library/a@sha256:{HEX}", f"a@sha256:{HEX}"),
        (f"a:t@sha256:{HEX}", f"docker.io/library/a:t@sha256:{HEX}", f"a:t@sha256:{HEX}"),
        ("a_b/c--d/e__f.g", "docker.io/a_b/c--d/e__f.g", "a_b/c--d/e__f.g"),
    ],
)
def test_names_are_normalised(text, canonical, familiar):
    reference = Reference.parse(text)
    assert (str(reference), reference.familiar) == (canonical, familiar)
    assert Reference.parse(canonical) == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"),
        ("a/B:c", "invalid reference format: repository name (a/B) must be lowercase"),
        ("a:", "invalid reference format"),
        ("a:.b", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("../etc", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a@sha256:" + "z" * 64, "invalid reference format"),
        ("a@sha256:" + "a" * 40, "invalid checksum digest length"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("a/" + "b" * 256, "repository name must not be more than 255 characters"),
        ("a:" + "b" * 129, "invalid reference format"),
    ],
)
def test_malformed_names_are_refused_in_dockers_words(text, message):
    with pytest.raises(InvalidArgument) as refused:
        Reference.parse(text)
    assert str(refused.value) == message


def test_ids_and_names_are_told_apart():
    assert parse_any(HEX) == Digest(f"sha256:{HEX}")
    assert parse_any(f"sha256:{HEX}") == Digest(f"sha256:{HEX}")
    assert parse_any(HEX[:12]) == Reference("docker.io", f"library/{HEX[:12]}")


def test_a_key_has_one_of_tag_and_digest():
    assert str(Reference.parse("a").key()) == "docker.io/library/a:latest"
    assert str(Reference.parse(f"a:t@sha256:{HEX}").key()) == f"docker.io/library/a@sha256:{HEX}"


def test_parts_can_be_replaced():
    reference = Reference.parse("a:1")
    assert reference.with_tag("2").familiar == "a:2"
    assert reference.with_digest(f"sha256:{HEX}").familiar == f"a@sha256:{HEX}"
    with pytest.raises(InvalidArgument):
        reference.with_tag("no/slash")


part = st.from_regex(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*", fullmatch=True).filter(lambda text: len(text) < 60)
domain = st.sampled_from(["", "localhost/", "localhost:5000/", "ghcr.io/", "docker.io/", "1.2.3.4:1/"])
tag = st.one_of(st.just(""), st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))


@given(domain, st.lists(part, min_size=1, max_size=3), tag)
def test_the_familiar_name_names_the_same(prefix, parts, suffix):
    # docker.io/a.b/c is shown as a.b/c, which names another domain: docker's own ambiguity.
    assume(prefix not in ("", "docker.io/") or "." not in parts[0])
    reference = Reference.parse(prefix + "/".join(parts) + suffix)
    assert Reference.parse(reference.familiar) == reference
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text):
    try:
        reference = Reference.parse(text)
    except InvalidArgument:
        return
    assert Reference.parse(str(reference)) == reference
