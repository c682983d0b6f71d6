"""What a run writes and others read: token shards with their index and manifest, and image shards in img2dataset's layout."""
