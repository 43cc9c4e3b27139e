"""What each official network is, as plain data; importable without PyTorch."""
