// Sums over the pixels of each channel. A block adds one of `slices` slices of one channel of all
// images, always in the same order. No two blocks write the same value.

#define THREADS 256

// The sum of `value` over the threads of a block, returned to all of them.
__device__ REAL block_sum(REAL value, REAL* shared)
{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = THREADS / 2; half; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    value = shared[0];
    __syncthreads();
    return value;
}

// The position in memory of value j of a channel, counted through all images.
__device__ long long position(int j, int channel, int c, int size)
{
    return ((long long)(j / size) * c + channel) * size + j % size;
}

// total[channel][slice] = Σ x
extern "C" __global__ void sums(const REAL* __restrict__ x,         // n * c * size
                                REAL* __restrict__ total,           // c * slices
                                int n, int c, int size, int slices)
{
    __shared__ REAL shared[THREADS];
    const int each = n * size, length = (each + slices - 1) / slices;
    for (int b = blockIdx.x; b < c * slices; b += gridDim.x) {
        const int first = b % slices * length, end = min(first + length, each);
        REAL sum = 0;
        for (int j = first + threadIdx.x; j < end; j += THREADS)
            sum += x[position(j, b / slices, c, size)];
        sum = block_sum(sum, shared);
        if (threadIdx.x == 0)
            total[b] = sum;
    }
}

// masked = dy where y > 0, the gradient before ReLU, and total[channel][slice] = Σ masked
extern "C" __global__ void masked_sums(const REAL* __restrict__ dy,     // n * c * size
                                       const REAL* __restrict__ y,      // n * c * size
                                       REAL* __restrict__ masked,       // n * c * size
                                       REAL* __restrict__ total,        // c * slices
                                       int n, int c, int size, int slices)
{
    __shared__ REAL shared[THREADS];
    const int each = n * size, length = (each + slices - 1) / slices;
    for (int b = blockIdx.x; b < c * slices; b += gridDim.x) {
        const int first = b % slices * length, end = min(first + length, each);
        REAL sum = 0;
        for (int j = first + threadIdx.x; j < end; j += THREADS) {
            const long long i = position(j, b / slices, c, size);
            const REAL value = y[i] > 0 ? dy[i] : 0;
            masked[i] = value;
            sum += value;
        }
        sum = block_sum(sum, shared);
        if (threadIdx.x == 0)
            total[b] = sum;
    }
}

// total[0][channel][slice] = Σ dy·x̂, total[1] = Σ dy
extern "C" __global__ void products(const REAL* __restrict__ dy,    // n * c * size
                                    const REAL* __restrict__ x,     // n * c * size
                                    const REAL* __restrict__ mean,      // c
                                    const REAL* __restrict__ inverse,   // c
                                    REAL* __restrict__ total,       // 2 * c * slices
                                    int n, int c, int size, int slices)
{
    __shared__ REAL shared[THREADS];
    const int each = n * size, length = (each + slices - 1) / slices;
    for (int b = blockIdx.x; b < c * slices; b += gridDim.x) {
        const int first = b % slices * length, end = min(first + length, each);
        REAL dw = 0, db = 0;
        for (int j = first + threadIdx.x; j < end; j += THREADS) {
            const long long i = position(j, b / slices, c, size);
            dw += dy[i] * (x[i] - mean[b / slices]);
            db += dy[i];
        }
        dw = block_sum(dw, shared);
        db = block_sum(db, shared);
        if (threadIdx.x == 0) {
            total[b] = dw * inverse[b / slices];
            total[c * slices + b] = db;
        }
    }
}

// The mean of each slice, and the sum of squared differences from it. x is read twice, the second
// time from the cache. Σx² − n·mean² would read it once, but in float32 loses a small variance.
extern "C" __global__ void moments(const REAL* __restrict__ x,      // n * c * size
                                   REAL* __restrict__ means,        // c * slices
                                   REAL* __restrict__ squares,      // c * slices
                                   int n, int c, int size, int slices)
{
    __shared__ REAL shared[THREADS];
    const int each = n * size, length = (each + slices - 1) / slices;
    for (int b = blockIdx.x; b < c * slices; b += gridDim.x) {
        const int first = b % slices * length, end = min(first + length, each);
        REAL sum = 0, square = 0;
        for (int j = first + threadIdx.x; j < end; j += THREADS)
            sum += x[position(j, b / slices, c, size)];
        const REAL mean = block_sum(sum, shared) / max(end - first, 1);
        for (int j = first + threadIdx.x; j < end; j += THREADS) {
            const REAL difference = x[position(j, b / slices, c, size)] - mean;
            square += difference * difference;
        }
        square = block_sum(square, shared);
        if (threadIdx.x == 0) {
            means[b] = mean;
            squares[b] = square;
        }
    }
}

// y[i][k] = Σ over j of parts[i][j][k], in the order of j
extern "C" __global__ void add_parts(const REAL* __restrict__ parts,    // outer * count * inner
                                     REAL* __restrict__ y,              // outer * inner
                                     int outer, int count, int inner)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i < (long long)outer * inner; i += step) {
        const REAL* part = parts + i / inner * count * inner + i % inner;
        REAL sum = 0;
        for (int j = 0; j < count; j++)
            sum += part[(long long)j * inner];
        y[i] = sum;
    }
}
