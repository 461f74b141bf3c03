"""Files to arrays and back: decoding, encoding, EXIF and ICC, header checks, pairs of files.
Files are written whole or not at all.
"""
