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

// y = x · kept · scale; bit i % 8 of byte i / 8, the lowest first, says whether value i is kept
extern "C" __global__ void dropout(const REAL* x,                       // count
                                   const unsigned char* bits,           // (count + 7) // 8
                                   unsigned char* kept,                 // count
                                   REAL* y,                             // count
                                   REAL scale, long long count)
{
    EACH(i, count) {
        const unsigned char is_kept = bits[i / 8] >> i % 8 & 1;
        kept[i] = is_kept;
        y[i] = x[i] * (REAL)is_kept * scale;
    }
}

// dx = dy · kept · scale
extern "C" __global__ void dropout_backward(const REAL* dy,             // count
                                            const unsigned char* kept,  // count
                                            REAL* dx,                   // count
                                            REAL scale, long long count)
{
    EACH(i, count)
        dx[i] = dy[i] * (REAL)kept[i] * scale;
}
