"""The object types that carry data, made from rows. What needs another statement goes through a loader."""
