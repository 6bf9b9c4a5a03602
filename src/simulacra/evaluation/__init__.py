"""Evaluating and comparing trained models."""
