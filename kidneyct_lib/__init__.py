"""Helpers of the kidney CT study, in layers: a sub-package imports only from those below it.

=====  ====================  ===================================================================
layer  sub-package           holds
=====  ====================  ===================================================================
10     ``cli``               the command line `kidneyct`
9      ``explore``           panels of widgets that show finished runs in JupyterLab
8      ``deployment``        export to ONNX and LiteRT, parity with Keras, latency, predictions
8      ``report``            `report.html` of a run
8      ``review``            what a branch changes: notebooks, parameters, results, on one page
7      ``audit``             why the slice-level number is high, what helps on patients kept apart
7      ``robustness``        corruptions and acquisition shifts
7      ``interpretability``  Grad-CAM, weight randomization, localization
7      ``uncertainty``       calibration, conformal sets, selective prediction, OOD detection
6      ``training``          feature cache, one training stage, the two recipes
5      ``models``            networks, pretrained weights, region-of-interest crops, linear heads
4      ``splitting``         near-duplicate groups, holdout and cross-validation splits
4      ``evaluation``        metrics, bootstrap over groups, paired comparisons
4      ``plots``             every figure: data in, Figure out
3      ``data``              data sets, catalog, decoding, augmentation, the phantom
2      ``study``             parameters, run folder, provenance, runner, comparison of runs
1      ``core``              errors, files, array cache, work handed to a cluster
=====  ====================  ===================================================================
"""

__version__ = "0.1.0"
