"""V-BM4D: video denoising by volumes of blocks along trajectories."""
