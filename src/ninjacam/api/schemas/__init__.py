"""What goes in and out of the API, by noun. Field names carry units; what is left out of a PATCH stays as it is."""
