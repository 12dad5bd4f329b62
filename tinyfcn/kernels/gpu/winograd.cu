// The transforms of Winograd's F(4×4, 3×3); kernels/cpu/winograd.py explains the steps. A tile is
// 4×4 outputs; tiles are counted through all images, rows and columns. A transformed tile has 36
// values, each in a plane of its own. A thread keeps one tile in its registers and transforms its
// columns, then its rows. Neighbouring threads take neighbouring tiles, so they write side by side.

// v = Bᵀ d, of six values
__device__ void times_b_transposed(const REAL* d, int step, REAL* v, int stride)
{
    const REAL a = d[0], b = d[step], c = d[2 * step], e = d[3 * step], f = d[4 * step];
    v[0] = 4 * a - 5 * c + f;
    v[stride] = f - 4 * c + (e - 4 * b);
    v[2 * stride] = f - 4 * c - (e - 4 * b);
    v[3 * stride] = f - c + 2 * (e - b);
    v[4 * stride] = f - c - 2 * (e - b);
    v[5 * stride] = 4 * b - 5 * e + d[5 * step];
}

// v = A d, of four values
__device__ void times_a(const REAL* d, int step, REAL* v, int stride)
{
    const REAL a = d[0], b = d[step], c = d[2 * step], e = d[3 * step];
    v[0] = a;
    v[stride] = a + c + (b + e);
    v[2 * stride] = a + c - (b + e);
    v[3 * stride] = a + 4 * c + (2 * b + 8 * e);
    v[4 * stride] = a + 4 * c - (2 * b + 8 * e);
    v[5 * stride] = e;
}

// d = Bᵀ x B of the 6×6 pixels under a tile; outside the image they are zeros
__device__ void input_tile(const REAL* __restrict__ x, int n, int c, int h, int w, int py, int px,
                          int tile_rows, int tile_columns, int tile, int channel, REAL* d)
{
    const int image = tile / (tile_rows * tile_columns);
    const int top = tile / tile_columns % tile_rows * 4 - py, left = tile % tile_columns * 4 - px;
    const REAL* plane = x + ((long long)image * c + channel) * h * w;
#pragma unroll
    for (int r = 0; r < 6; r++)
#pragma unroll
        for (int s = 0; s < 6; s++) {
            const int row = top + r, column = left + s;
            const int inside = image < n && row >= 0 && row < h
                && column >= 0 && column < w;
            d[6 * r + s] = inside ? plane[(long long)row * w + column] : 0;
        }
#pragma unroll
    for (int s = 0; s < 6; s++)
        times_b_transposed(d + s, 6, d + s, 6);
#pragma unroll
    for (int r = 0; r < 6; r++)
        times_b_transposed(d + 6 * r, 1, d + 6 * r, 1);
}

// v[plane][channel][tile] = Bᵀ x B
extern "C" __global__ void transform_input(
    const REAL* __restrict__ x,         // n * c * h * w
    REAL* __restrict__ v,               // 36 * c * count
    int n, int c, int h, int w, int py, int px, int tile_rows, int tile_columns,
    int first, int count)
{
    const long long all = (long long)c * count, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const int channel = (int)(i / count);
        const int tile = first + (int)(i - (long long)channel * count);
        REAL d[36];
        input_tile(x, n, c, h, w, py, px, tile_rows, tile_columns, tile, channel, d);
#pragma unroll
        for (int plane = 0; plane < 36; plane++)
            v[plane * all + i] = d[plane];
    }
}

// v[block][plane][tile][channel] = Bᵀ x B, as a sum over tiles reads it. A block of threads takes
// 16 tiles of 16 channels: it reads along the tiles, transposes in shared memory, and writes along
// the channels, so that both are runs of memory. The 17th column avoids bank conflicts.
extern "C" __global__ void transform_input_transposed(
    const REAL* __restrict__ x,         // n * c * h * w
    REAL* __restrict__ v,               // blocks * 36 * c * count
    int n, int c, int h, int w, int py, int px,
    int tile_rows, int tile_columns, int first, int blocks, int count)
{
    __shared__ REAL transposed[6][16][17];
    const int near = threadIdx.x % 16, far = threadIdx.x / 16, end = blocks * count;
    const int across = (c + 15) / 16;
    const long long all = (long long)((end + 15) / 16) * across;
    for (long long b = blockIdx.x; b < all; b += gridDim.x) {
        const int tiles = (int)(b / across) * 16, channels = (int)(b % across) * 16;
        REAL d[36];
        if (tiles + near < end && channels + far < c)
            input_tile(x, n, c, h, w, py, px, tile_rows, tile_columns, first + tiles + near,
                       channels + far, d);
        const int tile = tiles + far, channel = channels + near;
        REAL* out = v + ((long long)(tile / count) * 36 * count + tile % count) * c + channel;
#pragma unroll
        for (int r = 0; r < 6; r++) {
#pragma unroll
            for (int s = 0; s < 6; s++)
                transposed[s][far][near] = d[6 * r + s];
            __syncthreads();
            if (tile < end && channel < c)
#pragma unroll
                for (int s = 0; s < 6; s++)
                    out[(long long)(6 * r + s) * count * c] = transposed[s][near][far];
            __syncthreads();
        }
    }
}

// m[block][plane][channel][tile] = A dy Aᵀ
extern "C" __global__ void transform_gradient(
    const REAL* __restrict__ dy,        // n * k * oh * ow
    REAL* __restrict__ m,               // blocks * 36 * k * count
    int n, int k, int oh, int ow, int tile_rows, int tile_columns,
    int first, int blocks, int count)
{
    const long long plane = (long long)k * count, all = blocks * plane;
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const int block = (int)(i / plane), channel = (int)(i / count % k);
        const int tile = first + block * count + (int)(i % count);
        const int image = tile / (tile_rows * tile_columns);
        const int top = tile / tile_columns % tile_rows * 4, left = tile % tile_columns * 4;
        const REAL* from = dy + ((long long)image * k + channel) * oh * ow;
        REAL d[16], half[24], row[6];
#pragma unroll
        for (int r = 0; r < 4; r++)
#pragma unroll
            for (int s = 0; s < 4; s++) {
                const int inside = image < n && top + r < oh && left + s < ow;
                d[4 * r + s] = inside ? from[(long long)(top + r) * ow + left + s] : 0;
            }
#pragma unroll
        for (int s = 0; s < 4; s++)
            times_a(d + s, 4, half + s, 4);
        REAL* out = m + block * 35 * plane + i;
#pragma unroll
        for (int r = 0; r < 6; r++) {
            times_a(half + 4 * r, 1, row, 1);
#pragma unroll
            for (int s = 0; s < 6; s++)
                out[(6 * r + s) * plane] = row[s];
        }
    }
}

// y = Aᵀ m A + b. Four threads share a tile, one column of outputs each, so a warp stores runs of
// 32 pixels. With one thread for a tile it would store every fourth pixel, 16 times.
extern "C" __global__ void transform_output(
    const REAL* __restrict__ m,         // 36 * k * count
    const REAL* __restrict__ b,         // has_bias * k
    REAL* __restrict__ y,               // n * k * oh * ow
    int n, int k, int oh, int ow, int tile_rows, int tile_columns,
    int first, int count, int has_bias)
{
    const long long plane = (long long)k * count, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < 4 * plane; i += step) {
        const int column = (int)(i % 4), channel = (int)(i / 4 / count);
        const int tile = first + (int)(i / 4 - (long long)channel * count);
        const int image = tile / (tile_rows * tile_columns);
        const int top = tile / tile_columns % tile_rows * 4;
        const int left = tile % tile_columns * 4 + column;
        if (left >= ow)
            continue;
        // row `column` of Aᵀ: (1 1 1 1 1 0), (0 1 −1 2 −2 0), (0 1 1 4 4 0), (0 1 −1 8 −8 1)
        const REAL at_0 = column == 0, at_3 = column == 3;
        const REAL sign = column % 2 ? -1 : 1, power = 1 << column;
        REAL z[6];
#pragma unroll
        for (int r = 0; r < 6; r++) {
            const REAL* from = m + 6 * r * plane + i / 4;
            z[r] = at_0 * from[0] + (from[plane] + sign * from[2 * plane])
                + power * (from[3 * plane] + sign * from[4 * plane]) + at_3 * from[5 * plane];
        }
        const REAL even = z[1] + z[2], odd = z[1] - z[2], wider = z[3] + z[4], skew = z[3] - z[4];
        const REAL rows[4] = {z[0] + even + wider, odd + 2 * skew, even + 4 * wider,
                              odd + 8 * skew + z[5]};
        const REAL bias = has_bias ? b[channel] : 0;
        REAL* out = y + (((long long)image * k + channel) * oh + top) * ow + left;
#pragma unroll
        for (int r = 0; r < 4; r++)
            if (top + r < oh)
                out[(long long)r * ow] = rows[r] + bias;
    }
}
