"""A registry of images: the server side of the OCI distribution specification 1.1.

    http ── app ── routes/ ── repositories ── storage/ {filesystem, s3}
             │                    └─ gc
             ├─ auth/ {policy, passwords, tokens}      errors: the table of codes
             └─ service: all of it as configured, listening

`RegistryApp` is a handler for `sampan.http`, so the same registry can be mounted in another server.
"""
