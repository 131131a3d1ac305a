"""Where each record of a registry lies in its storage. The only module that forms keys.

known/<name with : for />                                         (empty) a repository that has, or once had, blobs
catalog/<name with : for />                                       (empty) ... that has, or once had, manifests
repositories/<name>/_blobs/<algorithm>/<hex>                      (empty) the repository has this blob
repositories/<name>/_manifests/<algorithm>/<hex>                  media type, line feed, the manifest's bytes
repositories/<name>/_tags/<tag>                                   the manifest's digest
repositories/<name>/_referrers/<algorithm>/<hex>/<algorithm>-<hex>  descriptor of a manifest whose subject that is
condemned/<algorithm>-<hex>                                       a blob that a collection is about to remove
collection                                                        whose collection runs, until when
"""

from __future__ import annotations

from sampan.oci.digest import Digest, hex_of

COLLECTION = "collection"
CATALOG = "catalog"
KNOWN = "known"
CONDEMNED = "condemned"
ALGORITHMS = ("sha256", "sha384", "sha512")


def catalog(name: str) -> str:
    return f"{CATALOG}/{encode_name(name)}"


def known(name: str) -> str:
    return f"{KNOWN}/{encode_name(name)}"


def encode_name(name: str) -> str:
    """A repository name as one part of a key."""
    return name.replace("/", ":")


def decode_name(part: str) -> str:
    return part.replace(":", "/")


def blob(name: str, digest: Digest) -> str:
    return f"repositories/{name}/_blobs/{_path(digest)}"


def blobs(name: str, algorithm: str) -> str:
    return f"repositories/{name}/_blobs/{algorithm}"


def manifest(name: str, digest: Digest) -> str:
    return f"repositories/{name}/_manifests/{_path(digest)}"


def manifests(name: str, algorithm: str) -> str:
    return f"repositories/{name}/_manifests/{algorithm}"


def tag(name: str, tag: str) -> str:
    return f"repositories/{name}/_tags/{tag}"


def tags(name: str) -> str:
    return f"repositories/{name}/_tags"


def referrers(name: str, subject: Digest) -> str:
    return f"repositories/{name}/_referrers/{_path(subject)}"


def referrer(name: str, subject: Digest, digest: Digest) -> str:
    return f"{referrers(name, subject)}/{_part(digest)}"


def condemned(digest: Digest) -> str:
    return f"{CONDEMNED}/{_part(digest)}"


def _path(digest: Digest) -> str:
    return f"{digest.partition(':')[0]}/{hex_of(digest)}"


def _part(digest: Digest) -> str:
    return digest.replace(":", "-", 1)
