"""The blog's way, for comparison: VideoCapture and a thread for each request, in a separate Django project.

It is not an example. It is measured as people copy it.
"""
