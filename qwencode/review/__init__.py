"""What is looked at before a commit: a change, exactly as git holds it, and checks that need no model."""
