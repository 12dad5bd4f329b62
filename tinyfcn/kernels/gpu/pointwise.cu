// Pointwise ops in one pass over memory; as array expressions they are several.

#define EACH(i, count) for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
                            i < count; i += (long long)gridDim.x * blockDim.x)

// dx = dy where y > 0
extern "C" __global__ void relu_backward(const REAL* dy,                // count
                                         const REAL* y,                 // count
                                         REAL* dx,                      // count
                                         long long count)
{
    EACH(i, count)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}

// y = x · kept · scale
extern "C" __global__ void dropout(const REAL* x,                       // count
                                   const unsigned char* kept,           // count
                                   REAL* y,                             // count
                                   REAL scale, long long count)
{
    EACH(i, count)
        y[i] = x[i] * (REAL)kept[i] * scale;
}
