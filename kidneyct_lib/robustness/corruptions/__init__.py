"""CT-relevant image corruptions in five severities, in NumPy and OpenCV."""

from kidneyct_lib.robustness.corruptions.registry import (
    CORRUPTIONS,
    CT_OWN,
    MEDMNIST_C,
    SEVERITIES,
    Corruption,
    CorruptionError,
    corrupt,
)

__all__ = [
    "CORRUPTIONS",
    "CT_OWN",
    "MEDMNIST_C",
    "SEVERITIES",
    "Corruption",
    "CorruptionError",
    "corrupt",
]
