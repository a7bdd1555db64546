"""Recipes to copy: round-trip health endpoints for the usual background workers."""
