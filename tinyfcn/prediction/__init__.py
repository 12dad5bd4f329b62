"""Inference with a trained net: predict images, and evaluate the predictions on a data set."""
from .evaluation import add_confusion, evaluate, predict_all, total_confusion
from .predict import predict

__all__ = ['add_confusion', 'evaluate', 'predict', 'predict_all', 'total_confusion']
