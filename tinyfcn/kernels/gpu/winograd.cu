// The transforms of Winograd's F(4×4, 3×3); kernels/cpu/winograd.py explains the steps, and
// kernels/winograd_matrices.py computes the matrices from the points 0, P, −P, Q, −Q and ∞. A tile
// is 4×4 outputs; tiles are counted through all images, rows and columns; what lies behind the last
// one is zeros. A transformed tile has 36 values, each in a plane of its own. A thread keeps one
// tile in its registers and transforms its columns, then its rows. Neighbouring threads take
// neighbouring tiles, so they write side by side.

constexpr REAL P = 2. / 3, P2 = 4. / 9, P3 = 8. / 27;           // and its powers
constexpr REAL Q = 3. / 2, Q2 = 9. / 4, Q3 = 27. / 8;           // P·Q = 1
constexpr REAL SQUARES = 97. / 36;                              // P² + Q²

// v = Bᵀ d, of six values
__device__ void times_b_transposed(const REAL* d, int step, REAL* v, int stride)
{
    const REAL a = d[0], b = d[step], c = d[2 * step], e = d[3 * step], f = d[4 * step];
    const REAL even_p = f - Q2 * c, odd_p = P * e - Q * b;      // the rows of ±P: even ± odd
    const REAL even_q = f - P2 * c, odd_q = Q * e - P * b;
    v[0] = a + f - SQUARES * c;
    v[stride] = even_p + odd_p;
    v[2 * stride] = even_p - odd_p;
    v[3 * stride] = even_q + odd_q;
    v[4 * stride] = even_q - odd_q;
    v[5 * stride] = b + d[5 * step] - SQUARES * e;
}

// v = A d, of four values
__device__ void times_a(const REAL* d, int step, REAL* v, int stride)
{
    const REAL a = d[0], b = d[step], c = d[2 * step], e = d[3 * step];
    const REAL even_p = a + P2 * c, odd_p = P * b + P3 * e;
    const REAL even_q = a + Q2 * c, odd_q = Q * b + Q3 * e;
    v[0] = a;
    v[stride] = even_p + odd_p;
    v[2 * stride] = even_p - odd_p;
    v[3 * stride] = even_q + odd_q;
    v[4 * stride] = even_q - odd_q;
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

// v[block][plane][channel][tile] = Bᵀ x B, of `blocks` blocks of `count` tiles from tile `first` on
extern "C" __global__ void transform_input(
    const REAL* __restrict__ x,         // n * c * h * w
    REAL* __restrict__ v,               // blocks * 36 * c * count
    int n, int c, int h, int w, int py, int px, int tile_rows, int tile_columns,
    int first, int blocks, int count)
{
    const long long plane = (long long)c * count, all = blocks * plane;
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const int row = (int)(i / count), block = row / c;
        const int tile = first + block * count + (int)(i - (long long)row * count);
        REAL d[36];
        input_tile(x, n, c, h, w, py, px, tile_rows, tile_columns, tile, row - block * c, d);
        REAL* out = v + block * 35 * plane + i;
#pragma unroll
        for (int value = 0; value < 36; value++)
            out[value * plane] = d[value];
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
        const int line = (int)(i / count), block = line / k, channel = line - block * k;
        const int tile = first + block * count + (int)(i - (long long)line * count);
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

// y = Aᵀ m A + b; with relu, 0 where that is negative. Four threads share a tile, one column of
// outputs each, so a warp stores runs of 32 pixels. With one thread for a tile it would store every
// fourth pixel, 16 times.
extern "C" __global__ void transform_output(
    const REAL* __restrict__ m,         // 36 * k * count
    const REAL* __restrict__ b,         // has_bias * k
    REAL* __restrict__ y,               // n * k * oh * ow
    int n, int k, int oh, int ow, int tile_rows, int tile_columns,
    int first, int count, int has_bias, int relu)
{
    const long long plane = (long long)k * count, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < 4 * plane; i += step) {
        const int column = (int)(i % 4), channel = (int)(i / 4 / count);
        const int tile = first + (int)(i / 4 - (long long)channel * count);
        const int image = tile / (tile_rows * tile_columns);
        const int top = tile / tile_columns % tile_rows * 4;
        const int left = tile % tile_columns * 4 + column;
        if (image >= n || left >= ow)
            continue;
        // row `column` of Aᵀ is one of:
        // (1 1 1 1 1 0), (0 P −P Q −Q 0), (0 P² P² Q² Q² 0), (0 P³ −P³ Q³ −Q³ 1)
        const REAL p = column == 0 ? 1 : column == 1 ? P : column == 2 ? P2 : P3;
        const REAL q = column == 0 ? 1 : column == 1 ? Q : column == 2 ? Q2 : Q3;
        const REAL at_0 = column == 0, at_3 = column == 3, sign = column % 2 ? -1 : 1;
        REAL z[6];
#pragma unroll
        for (int r = 0; r < 6; r++) {
            const REAL* from = m + 6 * r * plane + i / 4;
            z[r] = at_0 * from[0] + p * (from[plane] + sign * from[2 * plane])
                + q * (from[3 * plane] + sign * from[4 * plane]) + at_3 * from[5 * plane];
        }
        const REAL even_p = z[1] + z[2], odd_p = z[1] - z[2];
        const REAL even_q = z[3] + z[4], odd_q = z[3] - z[4];
        const REAL rows[4] = {z[0] + even_p + even_q, P * odd_p + Q * odd_q,
                              P2 * even_p + Q2 * even_q, P3 * odd_p + Q3 * odd_q + z[5]};
        const REAL bias = has_bias ? b[channel] : 0;
        REAL* out = y + (((long long)image * k + channel) * oh + top) * ow + left;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const REAL value = rows[r] + bias;
            if (top + r < oh)
                out[(long long)r * ow] = relu && value < 0 ? 0 : value;
        }
    }
}
