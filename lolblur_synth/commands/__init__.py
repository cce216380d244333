"""The commands of the program, by what they are about. Words in, words out; tools are imported inside each command."""
