"""Inference with a trained net: predict images, and evaluate the predictions on a data set."""
from .predict import add_confusion, evaluate, predict, predict_all, total_confusion

__all__ = ['add_confusion', 'evaluate', 'predict', 'predict_all', 'total_confusion']
