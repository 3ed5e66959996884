"""How well an artefact does on labelled posts, beside baselines and with what it gets wrong."""
