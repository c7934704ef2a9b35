"""What a long-running process needs: pauses, retries, and tasks that end together.

Used by every room above; depends on neither logs nor targets.
"""
