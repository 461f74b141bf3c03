"""Files to arrays and back: decoding, encoding, EXIF and ICC, header checks, pairs of files.
Files are written whole or not at all.

images      read_photograph, write_images: start here; decode.py: bytes to pixels; encode.py: pixels to bytes
metadata    EXIF and colour profile out of each format (_read_png) and into it (_insert_into_png); exif.py: the tags
headers     size and plausibility of a picture, before it is decoded; tiff_quirks.py: what OpenCV reads wrong
containers  a walker per format: JPEG segments, PNG and RIFF chunks, TIFF directories
heif_raw    HEIC and camera RAW, with libraries of extras
files       whole files, locks.py; pairs.py: pairs by name; validation.py: do they fit together
"""
