"""The parts of a run's report: what is read from the output, and a file for each kind of section."""
