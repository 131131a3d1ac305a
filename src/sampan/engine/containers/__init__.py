"""Containers: making, running, looking at and removing them."""
