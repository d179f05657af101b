"""The operations of the API, by noun: each reads the request, asks an action or a query, and makes the answer."""
