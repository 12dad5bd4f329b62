// Batch normalisation, once sums.cu has summed each channel slice by slice.

// The moments of a channel from those of its slices: mean and (biased) var of the batch, and the
// running statistics moved towards them. The running var is unbiased, as in PyTorch.
extern "C" __global__ void combine_moments(const REAL* __restrict__ means,       // c * slices
                                           const REAL* __restrict__ squares,     // c * slices
                                           const REAL* __restrict__ old_mean,    // c
                                           const REAL* __restrict__ old_var,     // c
                                           REAL* __restrict__ mean,              // c
                                           REAL* __restrict__ var,               // c
                                           REAL* __restrict__ new_mean,          // c
                                           REAL* __restrict__ new_var,           // c
                                           int each, int c, int slices, REAL momentum)
{
    const int length = (each + slices - 1) / slices;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < c; i += gridDim.x * blockDim.x) {
        REAL sum = 0, square = 0;
        for (int s = 0; s < slices; s++)
            sum += means[i * slices + s] * max(min(length, each - s * length), 0);
        sum /= each;
        for (int s = 0; s < slices; s++) {
            const REAL difference = means[i * slices + s] - sum;
            square += squares[i * slices + s]
                + difference * difference * max(min(length, each - s * length), 0);
        }
        mean[i] = sum;
        var[i] = square / each;
        new_mean[i] = old_mean[i] + momentum * (sum - old_mean[i]);
        new_var[i] = old_var[i] + momentum * (square / (each - 1) - old_var[i]);
    }
}

// x̂ = (x − mean) / √(var + ε), y = w·x̂ + b
// A block takes one of `parts` parts of a plane, so the channel is looked up once for a block.
extern "C" __global__ void normalise(const REAL* __restrict__ x,        // n * c * size
                                     const REAL* __restrict__ mean,     // c
                                     const REAL* __restrict__ var,      // c
                                     const REAL* __restrict__ w,        // c
                                     const REAL* __restrict__ b,        // c
                                     REAL* __restrict__ inverse,        // c
                                     REAL* __restrict__ y,              // n * c * size
                                     int n, int c, int size, int parts, REAL eps)
{
    const int length = (size + parts - 1) / parts;
    for (long long block = blockIdx.x; block < (long long)n * c * parts; block += gridDim.x) {
        const int plane = (int)(block / parts), first = (int)(block % parts) * length;
        const int channel = plane % c, end = min(first + length, size);
        const REAL mean_of_channel = mean[channel], slope = w[channel], shift = b[channel];
        const REAL scale = 1 / sqrt(var[channel] + eps);
        const long long from = (long long)plane * size;
        for (int j = first + threadIdx.x; j < end; j += blockDim.x) {
            y[from + j] = (x[from + j] - mean_of_channel) * scale * slope + shift;
        }
        if (plane < c && first == 0 && threadIdx.x == 0)
            inverse[channel] = scale;
    }
}

// dx = w/σ · (dy − mean(dy) − x̂ · mean(dy·x̂)), or w/σ · dy where mean and var are constants
extern "C" __global__ void normalise_backward(const REAL* __restrict__ dy,         // n * c * size
                                              const REAL* __restrict__ x,          // n * c * size
                                              const REAL* __restrict__ w,          // c
                                              const REAL* __restrict__ mean,       // c
                                              const REAL* __restrict__ inverse,    // c
                                              const REAL* __restrict__ dw,         // c
                                              const REAL* __restrict__ db,         // c
                                              REAL* __restrict__ dx,               // n * c * size
                                              int n, int c, int size, int parts, int use_batch)
{
    const int length = (size + parts - 1) / parts;
    for (long long block = blockIdx.x; block < (long long)n * c * parts; block += gridDim.x) {
        const int plane = (int)(block / parts), first = (int)(block % parts) * length;
        const int channel = plane % c, end = min(first + length, size);
        const REAL each = (REAL)n * size, slope = w[channel] * inverse[channel];
        const REAL mean_dy = use_batch ? db[channel] / each : 0;
        const REAL mean_dy_x_hat = use_batch ? dw[channel] / each : 0;
        const REAL mean_of_channel = mean[channel], scale = inverse[channel];
        const long long from = (long long)plane * size;
        for (int j = first + threadIdx.x; j < end; j += blockDim.x)
            dx[from + j] = slope * (
                dy[from + j] - mean_dy - (x[from + j] - mean_of_channel) * scale * mean_dy_x_hat);
    }
}
