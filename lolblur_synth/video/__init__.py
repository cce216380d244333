"""Reading and writing video: the room of the package that opens video files and folders of frames.

names    suffixes, and names fit to print
sequence the frames of a folder, in time order, or why they are none
inputs   what the user pointed at, found without opening it
guard    what is checked before a file is opened, and from its header
reader   `probe` checks a file, `read` streams its frames
timing   time stamps: constant rate, nothing missing
yuv      decoded frames to RGB
survey   scene cuts and repeated frames
writer   frames to a video file
"""

from lolblur_synth.video.inputs import Input, Refusal, digest, find
from lolblur_synth.video.names import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from lolblur_synth.video.reader import Video, probe, read
from lolblur_synth.video.sequence import frames_of, image_files
from lolblur_synth.video.survey import Survey, repeated, survey
from lolblur_synth.video.writer import write_video

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "Input", "Refusal", "Survey", "Video", "digest", "find", "frames_of",
           "image_files", "probe", "read", "repeated", "survey", "write_video"]
