"""`mgpt sample` and `mgpt serve`: prompts, what is made of them, and where it is put."""
