"""Reading and writing video: the room of the package that opens video files and folders of frames.

names    suffixes, and names fit to print
sequence the frames of a folder in time order, or why the folder is rejected
inputs   the videos and folders of frames at the paths that the user gave; none is opened
stamp    a fingerprint of an input's files, which changes when they do
guard    checks before a file is opened and on its header; the choice of the video track
reader   `probe` checks a file, `read` streams its frames
timing   time stamps: constant rate, nothing missing
complete is the end of the file there?
capture  the capture rate in the metadata of a file
boxes    the boxes of an MP4 file; ebml: the elements of a Matroska file
yuv      decoded frames to RGB; measured, to light above white where they hold it
dolby    what a container tells of Dolby Vision
geometry crop, square pixels and orientation; container_crop reads the crop that MP4 and Matroska ask for
scan     scene cuts and repeated frames
writer   frames to a video file
recorder frames to a video that plays while it grows, with the sound that tracks finds in another file
"""

from lolblur_synth.files.video.inputs import Input, RejectedInput, digest, digest_of, find, find_clips
from lolblur_synth.files.video.names import DISPLAY_SUFFIXES, IMAGE_SUFFIXES, LIGHT_SUFFIXES, VIDEO_SUFFIXES
from lolblur_synth.files.video.reader import GUESSED, MEASURED, Video, display, probe, read
from lolblur_synth.files.video.scan import Scan, cuts_in_words, repeated, repeats_in_words, scan_frames
from lolblur_synth.files.video.sequence import frames_of, image_files
from lolblur_synth.files.video.stamp import stamp
from lolblur_synth.files.video.writer import write_video

__all__ = [
    "DISPLAY_SUFFIXES",
    "GUESSED",
    "IMAGE_SUFFIXES",
    "LIGHT_SUFFIXES",
    "MEASURED",
    "VIDEO_SUFFIXES",
    "Input",
    "RejectedInput",
    "Scan",
    "Video",
    "cuts_in_words",
    "digest",
    "digest_of",
    "display",
    "find",
    "find_clips",
    "frames_of",
    "image_files",
    "probe",
    "read",
    "repeated",
    "repeats_in_words",
    "scan_frames",
    "stamp",
    "write_video",
]
