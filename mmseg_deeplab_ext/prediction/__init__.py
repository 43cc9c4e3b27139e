"""Predictions for pictures: from files, folders and globs to label maps and overlays."""

from mmseg_deeplab_ext.prediction.options import PredictOptions
from mmseg_deeplab_ext.prediction.predict import predict_files
from mmseg_deeplab_ext.prediction.report import Report

__all__ = ["PredictOptions", "Report", "predict_files"]
