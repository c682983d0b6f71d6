"""Samples become token sequences here, and token sequences pictures again."""
