"""Who is kept apart from whom: near-duplicate groups, holdout and cross-validation splits."""
