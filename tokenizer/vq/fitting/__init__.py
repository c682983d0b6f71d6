"""Fitting a VQGAN: `options.py` says what can be asked for, `trainer.py` does it."""
