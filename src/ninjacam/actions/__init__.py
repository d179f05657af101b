"""Every write of Ninjacam, one function each: check the permission, do it, put it on record.

For the API, pages, admin and commands alike. Not here: HTTP, forms, arguments, and reading.
"""
