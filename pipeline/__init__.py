"""The frame: what flows, what a step is, where data lies, how it runs. Knows no filter, no tokenizer, no model."""
