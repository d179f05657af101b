"""The blog's way, to compare with: VideoCapture and a thread for each request, in a Django project of its own.

Not here: anything to learn from. It is measured as people copy it.
"""
