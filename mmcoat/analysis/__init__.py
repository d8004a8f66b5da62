"""Parameters, FLOPs, profiles, and the model zoo page."""
