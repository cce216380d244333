"""Clips of 250 fps from still pictures, for those without a high-speed camera.

pictures     what the user pointed at, and one picture as linear light
lamps        light above white for the clipped lights of a photograph
camera_path  where the camera looks and stands at each instant: shake, pan, walk, zoom
scene        a picture as seen by that camera at any instant
clip         one clip: draw, then render; its record
run          paths in, clips out; `work` is what a worker process runs
"""
