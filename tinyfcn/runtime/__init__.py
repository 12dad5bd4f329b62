"""What the package computes with: arrays on the CPU or a GPU, threads, MPI."""
