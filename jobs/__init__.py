"""The front door: commands, recipes, and the bundled trainer and sampler. The only package that sees the others."""
