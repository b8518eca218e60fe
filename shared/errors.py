class PictureUnusable(Exception): pass
