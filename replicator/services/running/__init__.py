"""What a long-running process needs: pauses, retries, and tasks that end together.

Called by every room above; knows neither logs nor targets.
"""
