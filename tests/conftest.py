"""Index of the fixtures; each lives in a file by subject."""

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.database",
    "tests.fixtures.digits",
    "tests.fixtures.stack",
    "tests.fixtures.browser",
    "tests.fixtures.dashboard",
    "tests.fixtures.registry",
    "tests.fixtures.forgetting",
    "tests.fixtures.api",
]
