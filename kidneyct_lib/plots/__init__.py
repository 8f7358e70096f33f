"""Figures that a journal would print: data in, Figure out; nothing computed, nothing saved.

What they have in common: ``classes`` are the study's, in the order to show them. A scheme is
"slice", "patient" or, beside them, "other_window": by patient, in another display window. Accuracy
and other scores are 0 to 1; the ends of the 95 % interval of a score stand beside it, as
[low, high] under ``<score>_ci95`` or in the columns ``<score>_low`` and ``<score>_high``.
``chance`` is the score at chance level and ``chosen`` the study's threshold, each marked by a line.
``seed`` is of the scatter that keeps equal values apart. Images are uint8, 0 to 255, gray (H, W) or
RGB (H, W, 3).
"""

from kidneyct_lib.plots.audit import (
    buffered_curve,
    grouping_sweep,
    leak_summary,
    nearest_slice_error,
    patient_curve,
    shortcuts,
)
from kidneyct_lib.plots.data import (
    class_counts,
    class_weights,
    contact_sheet,
    group_montage,
    group_sizes,
    image_sizes,
    intensity_histograms,
    series_structure,
    split_counts,
    threshold_curve,
)
from kidneyct_lib.plots.deployment import latency, parity
from kidneyct_lib.plots.errors import (
    class_curves,
    class_maps,
    error_panel,
    errors_by_group,
    external_comparison,
    subgroup_accuracy,
    weight_randomization,
)
from kidneyct_lib.plots.evaluation import (
    ablation,
    binary_summary,
    class_weight_comparison,
    confusion_pair,
    headline,
    learning_curves,
    per_class_recall_pair,
)
from kidneyct_lib.plots.robustness import (
    corruption_errors,
    corruption_grid,
    ood_scores,
    operating_points,
    reliability,
    risk_coverage,
    set_coverage,
)
