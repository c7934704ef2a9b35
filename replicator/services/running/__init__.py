"""What a long-running process needs: pauses, retries, and tasks that end together.

Called by every room above; depends on neither logs nor targets.
"""
