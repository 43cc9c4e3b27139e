"""From a config file to a Runner."""
