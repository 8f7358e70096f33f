"""Scores of predictions with intervals over groups, and comparisons of two models."""
