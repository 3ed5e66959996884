"""The training floor: labelled data, folds, trainer, calibration, thresholds."""
