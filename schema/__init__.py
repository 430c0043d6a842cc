"""What a client may ask, in GraphQL words, and how it is executed."""
