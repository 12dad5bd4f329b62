"""Labels as other tools write them.

find.py finds out what a folder holds. For each format a module has a function that gives the
classes, the files of each image and how to read a label: mask_folders.py, coco.py, labelme.py and
cvat.py. Pixels that no shape covers are `background`, or void where there is no such class.
"""
