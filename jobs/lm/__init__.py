"""The bundled trainer and sampler: delete this folder and the data half still stands."""
