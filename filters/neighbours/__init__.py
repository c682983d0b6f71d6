"""Which of many pictures are near one another: hashes, embeddings, the search in both, and clusters of what it finds."""
