"""The pages: login, the wall, one camera, adding and changing cameras. Not here: the rules (`ninjacam.actions`)."""
