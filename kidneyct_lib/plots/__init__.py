"""Figures that a journal would print: data in, Figure out; nothing computed, nothing saved."""

from kidneyct_lib.plots.ablation import ablation
from kidneyct_lib.plots.audit import leak_summary
from kidneyct_lib.plots.audit_curves import (
    buffered_curve,
    grouping_sweep,
    nearest_slice_error,
    patient_curve,
)
from kidneyct_lib.plots.data import class_counts, contact_sheet, image_sizes, intensity_histograms
from kidneyct_lib.plots.deployment import latency, parity
from kidneyct_lib.plots.errors import (
    error_panel,
    errors_by_group,
    external_comparison,
    pr_curves,
    roc_curves,
    subgroup_accuracy,
)
from kidneyct_lib.plots.evaluation import (
    binary_summary,
    class_weight_comparison,
    confusion_pair,
    headline,
    learning_curves,
    per_class_recall_pair,
)
from kidneyct_lib.plots.interpretability import class_maps, weight_randomization
from kidneyct_lib.plots.robustness import corruption_errors, corruption_grid
from kidneyct_lib.plots.shortcuts import shortcuts
from kidneyct_lib.plots.splitting import (
    class_weights,
    group_montage,
    group_sizes,
    series_structure,
    split_counts,
    threshold_curve,
)
from kidneyct_lib.plots.uncertainty import (
    ood_scores,
    operating_points,
    reliability,
    risk_coverage,
    set_coverage,
)

__all__ = [
    "ablation",
    "binary_summary",
    "buffered_curve",
    "class_counts",
    "class_maps",
    "class_weight_comparison",
    "class_weights",
    "confusion_pair",
    "contact_sheet",
    "corruption_errors",
    "corruption_grid",
    "error_panel",
    "errors_by_group",
    "external_comparison",
    "group_montage",
    "group_sizes",
    "grouping_sweep",
    "headline",
    "image_sizes",
    "intensity_histograms",
    "latency",
    "leak_summary",
    "learning_curves",
    "nearest_slice_error",
    "ood_scores",
    "operating_points",
    "parity",
    "patient_curve",
    "per_class_recall_pair",
    "pr_curves",
    "reliability",
    "risk_coverage",
    "roc_curves",
    "series_structure",
    "set_coverage",
    "shortcuts",
    "split_counts",
    "subgroup_accuracy",
    "threshold_curve",
    "weight_randomization",
]
