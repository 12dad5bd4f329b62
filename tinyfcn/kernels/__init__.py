"""Optimised replacements for the reference ops. README.md beside this file explains them."""
