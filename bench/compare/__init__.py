"""Our figures beside those of other tools, each run in turns on one machine. By hand; may use `toolkit`."""
