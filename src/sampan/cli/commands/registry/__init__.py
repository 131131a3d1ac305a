"""`sampan registry`: a registry of one's own, and what is in anybody's. None of it needs a daemon.

The one group of commands that uses sampan.registry and sampan.images.remote, imported where a command runs.
"""
