"""Reading and writing video: the room of the package that opens video files and folders of frames.

inputs   what the user pointed at, found without opening it
guard    what is checked before a file is opened, and from its header
reader   `probe` checks a file, `read` streams its frames
timing   time stamps: constant rate, nothing missing
complete is the end of the file there?
capture  the capture rate that a file tells
boxes    the boxes of an MP4 file
yuv      decoded frames to RGB
survey   scene cuts and repeated frames
writer   frames to a video file
"""

from lolblur_synth.video.inputs import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Input, Refusal, digest, find, find_clips
from lolblur_synth.video.reader import Video, probe, read
from lolblur_synth.video.survey import Survey, repeated, repeats_in_words, survey
from lolblur_synth.video.writer import write_video

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "Input", "Refusal", "Survey", "Video", "digest", "find",
           "find_clips", "probe", "read", "repeated", "repeats_in_words", "survey", "write_video"]
