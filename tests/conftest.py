"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no failure; pytest-timeout ends what hangs.
settings.register_profile("calm", deadline=None)
settings.register_profile("thorough", settings.get_profile("calm"), max_examples=500)
settings.load_profile("calm")

pytest_plugins = ["tests.leaks", "tests.report", "tests.simulation.marks"]
