"""Small edits of Python source: mutation operators and repair templates."""
