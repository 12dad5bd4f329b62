// Local response normalisation over the `width` channels around each: of an even width one more
// before than after. Beyond the first and the last channel there are zeros.

// s = k + α/width · Σ x², y = x / sᵝ; ratio is α/width
extern "C" __global__ void forward(const REAL* __restrict__ x,         // planes * size
                                   REAL* __restrict__ y,               // planes * size
                                   REAL* __restrict__ s,               // planes * size
                                   int planes, int c, int size, int width,
                                   REAL ratio, REAL beta, REAL k)
{
    const long long all = (long long)planes * size, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const int channel = (int)(i / size % c), before = width / 2, after = (width - 1) / 2;
        REAL sum = 0;
        for (int offset = max(-before, -channel); offset <= min(after, c - 1 - channel); offset++) {
            const REAL value = x[i + (long long)offset * size];
            sum += value * value;
        }
        sum = k + ratio * sum;
        s[i] = sum;
        y[i] = x[i] * pow(sum, -beta);
    }
}

// dx = dy / sᵝ − x · 2αβ/width · Σ dy·y/s over the channels that sum this one; ratio is 2αβ/width
extern "C" __global__ void backward(const REAL* __restrict__ dy,       // planes * size
                                    const REAL* __restrict__ x,        // planes * size
                                    const REAL* __restrict__ y,        // planes * size
                                    const REAL* __restrict__ s,        // planes * size
                                    REAL* __restrict__ dx,             // planes * size
                                    int planes, int c, int size, int width,
                                    REAL ratio, REAL beta)
{
    const long long all = (long long)planes * size, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const int channel = (int)(i / size % c), before = (width - 1) / 2, after = width / 2;
        REAL sum = 0;
        for (int offset = max(-before, -channel); offset <= min(after, c - 1 - channel); offset++) {
            const long long j = i + (long long)offset * size;
            sum += dy[j] * y[j] / s[j];
        }
        dx[i] = dy[i] * pow(s[i], -beta) - ratio * x[i] * sum;
    }
}
