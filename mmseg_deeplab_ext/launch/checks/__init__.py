"""What a run's config, data and checkpoints must fulfil before work starts."""
