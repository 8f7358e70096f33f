"""Corrupted images, acquisition shifts, and what they cost."""
