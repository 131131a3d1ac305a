from __future__ import annotations

import hashlib
import json

import pytest

from sampan.errors import InvalidArgument
from sampan.oci import documents, mediatypes
from sampan.oci.digest import chain_ids, digest_of, hash_digest, hasher, hex_of, parse_digest, short_id
from sampan.oci.documents import Descriptor, ImageConfig, Index, Manifest
from sampan.oci.platform import Platform

ONE, TWO = digest_of(b"1"), digest_of(b"2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid checksum digest format"),
        ("sha256", "invalid checksum digest format"),
        ("md5:" + "a" * 32, "unsupported digest algorithm"),
        ("sha256:abc", "invalid checksum digest length"),
        ("sha256:" + "A" * 64, "invalid checksum digest format"),
        ("sha256:../" + "a" * 61, "invalid checksum digest format"),
    ],
)
def test_malformed_digests_are_refused(text, message):
    with pytest.raises(InvalidArgument, match=message):
        parse_digest(text)


def test_a_digest_knows_its_parts():
    digest = parse_digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    assert (digest, short_id(digest)) == ("sha512:" + hex_of(digest), hex_of(digest)[:12])
    state = hasher(digest)
    state.update(b"x")
    assert hash_digest(state) == digest


def test_chain_ids_follow_the_specification():
    chain = chain_ids([ONE, TWO])
    assert chain == [ONE, "sha256:" + hashlib.sha256(f"{ONE} {TWO}".encode()).hexdigest()]
    assert chain_ids([]) == []


def test_documents_survive_a_round_trip():
    manifest = Manifest(
        schema_version=2,
        media_type=mediatypes.OCI_MANIFEST,
        config=Descriptor(media_type=mediatypes.OCI_CONFIG, digest=ONE, size=1),
        layers=[Descriptor(media_type=mediatypes.OCI_LAYER, digest=TWO, size=1)],
    )
    content = documents.encode(manifest)
    assert json.loads(content)["schemaVersion"] == 2
    assert documents.parse(content, Manifest, "manifest") == manifest
    assert not documents.is_index(content)


def test_an_index_is_known_without_media_type():
    content = documents.encode(Index(schema_version=2, manifests=[]))
    assert documents.is_index(content)
    assert documents.is_index(b"not looked at", mediatypes.DOCKER_MANIFEST_LIST)


def test_a_config_of_the_wild_is_read():
    content = json.dumps(
        {
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "config": {"Env": None, "Cmd": ["sh"], "Healthcheck": {"Test": ["NONE"]}, "Unknown": 1},
            "rootfs": {"type": "layers", "diff_ids": None},
            "history": None,
        }
    ).encode()
    config = documents.parse(content, ImageConfig, "config")
    assert (config.run.cmd, config.diff_ids, config.platform) == (["sh"], [], Platform("linux", "arm64"))


def test_malformed_documents_name_the_place():
    with pytest.raises(InvalidArgument, match=r"invalid config: .*\$\.architecture"):
        documents.parse(b'{"architecture": 3}', ImageConfig, "config")
    with pytest.raises(InvalidArgument, match="invalid manifest"):
        documents.parse(b"\xff{", Manifest, "manifest")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("Linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("arm64", "linux/arm64"),
    ],
)
def test_platforms_are_normalised(text, shown):
    assert str(Platform.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "linux/a b", "foo"])
def test_malformed_platforms_are_refused(text):
    with pytest.raises(InvalidArgument):
        Platform.parse(text)


def test_the_better_platform_ranks_lower():
    wanted = Platform.parse("linux/arm/v7")
    offers = ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64", "linux/amd64"]
    ranks = {offer: Platform.parse(offer).rank(wanted) for offer in offers}
    assert ranks == {"linux/arm/v5": 2, "linux/arm/v6": 1, "linux/arm/v7": 0, "linux/arm64": None, "linux/amd64": None}
    assert Platform.parse("linux/386").rank(Platform.parse("linux/amd64")) == 100
    assert Platform.parse("windows/amd64").rank(Platform.parse("linux/amd64")) is None
    assert Platform.parse("linux/arm/v6").matches(Platform("linux", "arm"))
    assert not Platform.parse("linux/arm/v6").matches(wanted)
