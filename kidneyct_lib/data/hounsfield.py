"""Hounsfield units: shown in a display window, and whether values can be what they claim to be.

Air has -1000 Hounsfield units (HU), water 0, fat about -100, soft tissue 20 to 80, bone several
hundred.
"""

import numpy as np

Window = tuple[float, float]

SOFT_TISSUE: Window = (40.0, 400.0)
"""Centre and width, in Hounsfield units, of the usual abdominal window."""

_NOT_AIR, _AIR = -300, (-1250, -700)
_FAT_TO_ORGANS = (-200, 300)
_LEAST_AIR, _LEAST_TISSUE = 0.005, 0.05  # shares of all pixels
_LEAST_TISSUE_OF_BODY = 0.5  # of the pixels that are no air


def apply_window(
    hounsfield: np.ndarray, center: float, width: float, *, function: str = "LINEAR"
) -> np.ndarray:
    """Window Hounsfield units to gray: the functions of DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Parameters
    ----------
    hounsfield : array of any shape
        Hounsfield units.
    center, width : float
        Window in Hounsfield units.
    function : {"LINEAR", "LINEAR_EXACT", "SIGMOID"}
        VOI LUT function.

    Returns
    -------
    uint8 array of the same shape
        0 at and below the window's lower end, 255 at and above its upper end.

    Raises
    ------
    ValueError
        If `width` is not above 1, or the function is another one.
    """
    if not width > 1:
        raise ValueError(f"window width {width} is not above 1")
    values = np.asarray(hounsfield, np.float64)
    if function == "LINEAR":
        share = (values - (center - 0.5)) / (width - 1) + 0.5
    elif function == "LINEAR_EXACT":
        share = (values - center) / width + 0.5
    elif function == "SIGMOID":
        share = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    else:
        raise ValueError(f"the VOI LUT function {function!r} is not known")
    return np.rint(255 * share.clip(0, 1)).astype(np.uint8)


def doubt(hounsfield: np.ndarray) -> str:
    """Why these values are hardly Hounsfield units of a body; "" if they may be.

    Looks for air (-1250 to -700 HU), at least 0.5 % of the picture, and for fat to enhanced organs
    (-200 to 300 HU), at least 5 % of the picture and half of what is no air. Values with a lost
    offset of 1024 or 32768 have no air, values from which it was taken twice no tissue.

    Parameters
    ----------
    hounsfield : array (H, W)
        Hounsfield units of one slice.
    """
    air, tissue = (_within(hounsfield, ends).mean() for ends in (_AIR, _FAT_TO_ORGANS))
    if air < _LEAST_AIR:
        return "no air is seen, which has -1000 Hounsfield units"
    if tissue < max(_LEAST_TISSUE, _LEAST_TISSUE_OF_BODY * (hounsfield > _NOT_AIR).mean()):
        return "little is seen that has the Hounsfield units of fat or soft tissue"
    return ""


def _within(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return (values >= ends[0]) & (values <= ends[1])
