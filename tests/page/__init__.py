"""What the page shows, in a real Chromium: against a made-up state, and against a real service."""

import pytest

pytest.register_assert_rewrite("tests.page.figures")
