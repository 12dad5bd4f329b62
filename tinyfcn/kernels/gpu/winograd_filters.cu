// The transforms of Winograd's F(4×4, 3×3) for the filters: of w before a convolution, and of dw
// after the sums. A thread takes one filter of one channel.

// The rows of G: that of 0 is (1, 0, 0), that of ∞ (0, 0, 1), that of another point p is (1, p, p²)
// divided by the product of its distances to the others. −p has the middle of p with another sign.
constexpr REAL P_0 = -81. / 130, P_1 = -27. / 65, P_2 = -18. / 65;      // of 2/3
constexpr REAL Q_0 = 8. / 65, Q_1 = 12. / 65, Q_2 = 18. / 65;           // of 3/2

// u = G w
__device__ void times_g(const REAL* w, int step, REAL* u, int stride)
{
    const REAL a = w[0], b = w[step], c = w[2 * step];
    const REAL even_p = P_0 * a + P_2 * c, odd_p = P_1 * b;
    const REAL even_q = Q_0 * a + Q_2 * c, odd_q = Q_1 * b;
    u[0] = a;
    u[stride] = even_p + odd_p;
    u[2 * stride] = even_p - odd_p;
    u[3 * stride] = even_q + odd_q;
    u[4 * stride] = even_q - odd_q;
    u[5 * stride] = c;
}

// w = Gᵀ u
__device__ void times_g_transposed(const REAL* u, int step, REAL* w, int stride)
{
    const REAL b = u[step], c = u[2 * step], d = u[3 * step], e = u[4 * step];
    w[0] = u[0] + P_0 * (b + c) + Q_0 * (d + e);
    w[stride] = P_1 * (b - c) + Q_1 * (d - e);
    w[2 * stride] = P_2 * (b + c) + Q_2 * (d + e) + u[5 * step];
}

// u[plane][k][c] = G w Gᵀ; or, of the filters rotated by 180°, u[plane][c][k]
extern "C" __global__ void transform_filters(const REAL* __restrict__ w,         // k * c * 9
                                             REAL* __restrict__ u,               // 36 * k * c
                                             int k, int c, int rotated)
{
    const long long all = (long long)k * c, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const REAL* from = w + (rotated ? i % k * c + i / k : i) * 9;
        REAL taps[9], half[18], row[6];
#pragma unroll
        for (int t = 0; t < 9; t++)
            taps[t] = from[rotated ? 8 - t : t];
#pragma unroll
        for (int s = 0; s < 3; s++)
            times_g(taps + s, 3, half + s, 3);
#pragma unroll
        for (int r = 0; r < 6; r++) {
            times_g(half + 3 * r, 1, row, 1);
#pragma unroll
            for (int s = 0; s < 6; s++)
                u[(6 * r + s) * all + i] = row[s];
        }
    }
}

// dw = Gᵀ u G
extern "C" __global__ void filter_gradient(const REAL* __restrict__ u,         // 36 * count
                                           REAL* __restrict__ dw,              // count * 9
                                           long long count)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        REAL d[36], half[18], row[3];
#pragma unroll
        for (int plane = 0; plane < 36; plane++)
            d[plane] = u[plane * count + i];
#pragma unroll
        for (int s = 0; s < 6; s++)
            times_g_transposed(d + s, 6, half + s, 6);
#pragma unroll
        for (int r = 0; r < 3; r++) {
            times_g_transposed(half + 6 * r, 1, row, 1);
#pragma unroll
            for (int s = 0; s < 3; s++)
                dw[9 * i + 3 * r + s] = row[s];
        }
    }
}
