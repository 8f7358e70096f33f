"""A synthetic abdominal CT cohort with known patients, the study's embedded default."""

from kidneyct_lib.data.phantom.cohort import CohortSpec, Slice, generate, write_cohort

__all__ = ["CohortSpec", "Slice", "generate", "write_cohort"]
