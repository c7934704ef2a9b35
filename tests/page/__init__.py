"""What the page shows, in a real Chromium: against a made-up state, and against a real service."""
