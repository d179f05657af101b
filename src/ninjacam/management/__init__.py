"""The commands, and the processes that they start: where the engine and the Django edge are joined."""
