"""From a config file to a Runner.

``config`` reads, ``checks`` look at it, ``adapt`` changes it, and ``runner`` builds what runs.
"""
