"""narratrace: which disinformation narratives a post advances, and which posts are the same copypasta."""
