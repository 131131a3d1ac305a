"""Volumes: named directories that outlive containers."""
