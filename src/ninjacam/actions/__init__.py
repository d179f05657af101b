"""Every write operation of Ninjacam, one function each: check the permission, write, record it for audit.

Used by the API, pages, admin and commands. Not here: HTTP, forms, arguments, and reads.
"""
