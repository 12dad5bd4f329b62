"""What a trained net says of images, and how good that is."""
from .predict import add_confusion, evaluate, predict, predict_all, total_confusion

__all__ = ['add_confusion', 'evaluate', 'predict', 'predict_all', 'total_confusion']
