"""What a process computes with: arrays of the CPU or the GPU, threads, other processes."""
