"""The package as a whole: imports, registration, plugins, the environment, the wheel."""
