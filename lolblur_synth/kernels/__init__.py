"""Inner loops. A folder is one specification, reference.py, and its fast twins, cpu.py and cuda.py: the same functions
with the same arguments, which a test compares. Who imports the folder gets the fastest that runs; see switch.py.
"""
