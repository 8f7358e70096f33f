"""CT-relevant image corruptions in five severities, in NumPy and OpenCV."""

from kidneyct_lib.corruptions.conditions import (
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
