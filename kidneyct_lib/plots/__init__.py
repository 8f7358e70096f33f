"""Figures that a journal would print: data in, Figure out; nothing computed, nothing saved.

What they have in common: ``classes`` are the study's, in the order to show them. A scheme is
"slice", "patient" or, beside them, "other_window": by patient, in another display window. Accuracy
and other scores are 0 to 1; the ends of the 95 % interval of a score stand beside it, as
[low, high] under ``<score>_ci95`` or in the columns ``<score>_low`` and ``<score>_high``.
``chance`` is the score at chance level and ``chosen`` the study's threshold, each marked by a line.
``seed`` is of the scatter that keeps equal values apart. Images are uint8, 0 to 255, gray (H, W) or
RGB (H, W, 3).
"""
