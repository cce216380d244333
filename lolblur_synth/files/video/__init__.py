"""Reading and writing video: the room of the package that opens video files and folders of frames.

names    suffixes, and names fit to print
sequence the frames of a folder, in time order, or why they are none
inputs   what the user pointed at, found without opening it
stamp    whether an input still is what was read before
guard    what is checked before a file is opened, and from its header; which video track is used
reader   `probe` checks a file, `read` streams its frames
timing   time stamps: constant rate, nothing missing
complete is the end of the file there?
capture  the capture rate that a file tells
boxes    the boxes of an MP4 file
yuv      decoded frames to RGB; measured, to light above white where they hold it
dolby    what a container tells of Dolby Vision
geometry crop, square pixels and orientation; container_crop reads the crop that MP4 and Matroska ask for
survey   scene cuts and repeated frames
writer   frames to a video file
recorder frames to a video that plays while it grows, with the sound that tracks finds in another file
"""

from lolblur_synth.files.video.inputs import Input, Refusal, digest, digest_of, find, find_clips
from lolblur_synth.files.video.names import DISPLAY_SUFFIXES, IMAGE_SUFFIXES, LIGHT_SUFFIXES, VIDEO_SUFFIXES
from lolblur_synth.files.video.reader import GUESSED, MEASURED, Video, display, probe, read
from lolblur_synth.files.video.scan import Survey, repeated, repeats_in_words, survey
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
    "Refusal",
    "Survey",
    "Video",
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
    "stamp",
    "survey",
    "write_video",
]
