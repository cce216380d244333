"""The experiments of benchmarks/paper.py: one function a table or figure of the paper, and what they share.

place       where material, sets, trainings and results lie; the two scales
sets        the datasets, each built by the program's own command
training    one training of LEDNet, or of a network of networks.py; a shorter run goes on
scoring     figures by clip, and paired differences over seeds
networks    small networks for Table 1
ablations   Table 3, Figures 9 and 10
baselines   Tables 1 and 2
data        Figures 8a and 8b, gamma darkening: the same network, other data
streaks     Figures 2a and 3b
gallery     Figures 4 and 5
page        docs/paper.md, its tables filled from the results
"""
