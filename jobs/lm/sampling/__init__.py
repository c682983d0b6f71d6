"""The sampler: answers of pictures and text from a model, exact, in batches."""
