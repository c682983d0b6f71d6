"""What `mgpt inspect` does: one file a subcommand, and what they share."""
