"""Results as people read them: terminal, Markdown, one self-contained HTML file, CSV."""
