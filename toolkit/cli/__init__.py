"""What a user types: one file a command, and the only code that prints or exits."""
