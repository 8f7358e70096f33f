"""Calibration, conformal sets, selective prediction and out-of-distribution detection."""
