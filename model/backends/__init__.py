"""Backends: the ways to run an artefact's forward pass."""
