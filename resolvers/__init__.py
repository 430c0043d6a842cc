"""How each request is answered, in the words of the domain. No GraphQL, no HTTP, no commit."""
