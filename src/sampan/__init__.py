"""Sampan: a container platform that speaks the Docker Engine API and the OCI specifications."""

__version__ = "0.1.0"
