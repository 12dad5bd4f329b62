// Windows as columns, and back. A place is where a window lies, counted through all images, rows
// and columns. A launch covers `blocks` blocks of `count` places, from place `first` on. Places
// from `places` on do not exist; their columns are zeros.

// cols[block][channel][ky][kx][place]
// A thread takes one channel of one window, so that all its taps share the divisions, and
// neighbouring threads write neighbouring values.
extern "C" __global__ void im2col(const REAL* __restrict__ x,       // n * c * h * w
                                  REAL* __restrict__ cols,          // blocks * c * kh * kw * count
                                  int n, int c, int h, int w, int kh, int kw, int sy, int sx,
                                  int py, int px, int ey, int ex, int oh, int ow,
                                  int first, int blocks, int count, int places)
{
    const long long all = (long long)blocks * c * count, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const long long row = i / count;
        const int within = (int)(i - row * count), channel = (int)(row % c);
        const int place = first + (int)(row / c) * count + within;
        const int image = place / (oh * ow);
        const int top = place / ow % oh * sy - py, left = place % ow * sx - px;
        const REAL* plane = x + ((long long)image * c + channel) * h * w;
        REAL* out = cols + row * kh * kw * count + within;
        for (int ky = 0; ky < kh; ky++) {
            const int y = top + ky * ey;
            for (int kx = 0; kx < kw; kx++, out += count) {
                const int column = left + kx * ex;
                const int inside = place < places && y >= 0 && y < h && column >= 0 && column < w;
                *out = inside ? plane[(long long)y * w + column] : 0;
            }
        }
    }
}

// x[image][channel][y][x] = b + the sum of the taps that read this pixel, always in the same order.
// With `add` the sum is added to what x holds from earlier blocks, in place of b.
extern "C" __global__ void col2im(const REAL* __restrict__ cols,    // blocks * c * kh * kw * count
                                  const REAL* __restrict__ b,       // has_bias * c
                                  REAL* __restrict__ x,             // n * c * h * w
                                  int n, int c, int h, int w, int kh, int kw, int sy, int sx,
                                  int py, int px, int ey, int ex, int oh, int ow,
                                  int first, int blocks, int count, int has_bias, int add)
{
    const long long all = (long long)n * c * h * w, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const long long line = i / w, plane = line / h;
        const int left = (int)(i - line * w) + px, top = (int)(line - plane * h) + py;
        const int channel = (int)(plane % c), image = (int)(plane / c);
        REAL sum = add ? x[i] : has_bias ? b[channel] : 0;
        for (int ky = 0; ky < kh; ky++) {
            // tap ky of window row oy reads this pixel if oy * sy + ky * ey == top
            const int down = top - ky * ey;
            if (down < 0 || down % sy || down / sy >= oh)
                continue;
            for (int kx = 0; kx < kw; kx++) {
                const int along = left - kx * ex;
                if (along < 0 || along % sx || along / sx >= ow)
                    continue;
                const long long place = ((long long)image * oh + down / sy) * ow + along / sx;
                const long long within = place - first;
                if (within < 0 || within >= (long long)blocks * count)
                    continue;                                   // of another launch
                const int block = (int)within / count;
                const long long row = (((long long)block * c + channel) * kh + ky) * kw + kx;
                sum += cols[row * count + (int)within % count];
            }
        }
        x[i] = sum;
    }
}

// y[image][channel][pixel] = m[channel][place] + b[channel]; with relu, 0 where that is negative
extern "C" __global__ void to_images(const REAL* __restrict__ m,        // c * count
                                     const REAL* __restrict__ b,        // has_bias * c
                                     REAL* __restrict__ y,              // n * c * size
                                     int n, int c, int size, int first, int count, int has_bias,
                                     int relu)
{
    const long long all = (long long)c * count, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const int channel = (int)(i / count), place = first + (int)(i - (long long)channel * count);
        const int image = place / size;
        if (image >= n)
            continue;                                           // behind the last place
        const REAL value = m[i] + (has_bias ? b[channel] : 0);
        y[((long long)image * c + channel) * size + place - (long long)image * size]
            = relu && value < 0 ? 0 : value;
    }
}

// y = y + b of its channel; with relu, 0 where that is negative
extern "C" __global__ void add_bias(const REAL* __restrict__ b,         // has_bias * c
                                    REAL* __restrict__ y,               // n * c * size
                                    int n, int c, int size, int has_bias, int relu)
{
    const long long all = (long long)n * c * size, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const REAL value = y[i] + (has_bias ? b[i / size % c] : 0);
        y[i] = relu && value < 0 ? 0 : value;
    }
}
