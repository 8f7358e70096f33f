"""On how many threads a process computes."""

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Environment variables that say so. They are read when TensorFlow is loaded, and not again."""
