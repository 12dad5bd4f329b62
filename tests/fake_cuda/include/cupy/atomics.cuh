// In place of CuPy's atomic functions: those of cuda_kernel.h are templates.
#pragma once
#include <cuda_kernel.h>
