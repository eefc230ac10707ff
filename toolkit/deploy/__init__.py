"""The same launch plan, rendered for every place it can run: text of files, nothing started and nothing written."""
