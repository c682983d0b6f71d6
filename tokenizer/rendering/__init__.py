"""How the pictures that stand in dialogues are drawn from what a sample stores."""
