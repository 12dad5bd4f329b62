"""Inference with a trained net: predict images, and evaluate the predictions on a data set."""
from .analysis import ErrorAnalysis, analyse_errors
from .evaluation import add_confusion, evaluate, predict_all, total_confusion
from .predict import predict, predict_probabilities
from .report import write_report
from .video import predict_video

__all__ = ['ErrorAnalysis', 'add_confusion', 'analyse_errors', 'evaluate', 'predict', 'predict_all',
           'predict_probabilities', 'predict_video', 'total_confusion', 'write_report']
