// Pooling by gathering: one thread for each value of the result, which no other thread writes.
// Sums run over windows row by row, always in the same order, so their bits are always the same.

#define EACH(i, count) for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; \
                            i < (unsigned)(count); i += gridDim.x * blockDim.x)

// The position of a window's largest pixel in its plane: the first of equal ones; NaN is larger
// than all numbers.
__device__ int largest(const REAL* plane, int h, int w, int top, int left, int kh, int kw)
{
    const int bottom = top + kh < h ? top + kh : h, right = left + kw < w ? left + kw : w;
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    int at = top * w + left;
    REAL best = plane[at];
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) {
            const REAL value = plane[row * w + column];
            if (value > best || (value != value && best == best)) {
                best = value;
                at = row * w + column;
            }
        }
    return at;
}

extern "C" __global__ void max_switches(const REAL* x,                  // planes * h * w
                                        long long* switches,            // planes * oh * ow
                                        int planes, int h, int w, int oh, int ow,
                                        int kh, int kw, int sh, int sw, int ph, int pw)
{
    EACH(i, planes * oh * ow) {
        const int column = i % ow, row = i / ow % oh, plane = i / ow / oh;
        switches[i] = largest(x + plane * h * w, h, w, row * sh - ph, column * sw - pw, kh, kw);
    }
}

extern "C" __global__ void max_pool(const REAL* x,                      // planes * h * w
                                    REAL* y,                            // planes * oh * ow
                                    int planes, int h, int w, int oh, int ow,
                                    int kh, int kw, int sh, int sw, int ph, int pw)
{
    EACH(i, planes * oh * ow) {
        const int column = i % ow, row = i / ow % oh, plane = i / ow / oh;
        const REAL* pixels = x + plane * h * w;
        y[i] = pixels[largest(pixels, h, w, row * sh - ph, column * sw - pw, kh, kw)];
    }
}

// Each pixel adds up dy of the windows that read it and whose largest pixel it is.
extern "C" __global__ void max_pool_backward(const REAL* dy,            // planes * oh * ow
                                             const REAL* x,             // planes * h * w
                                             const REAL* y,             // planes * oh * ow
                                             REAL* dx,                  // planes * h * w
                                             int planes, int h, int w, int oh, int ow,
                                             int kh, int kw, int sh, int sw, int ph, int pw)
{
    EACH(i, planes * h * w) {
        const int column = i % w, row = i / w % h, plane = i / w / h, own = row * w + column;
        const int down = row + ph, across = column + pw;
        const int first = down < kh ? 0 : (down - kh) / sh + 1;
        const int leftmost = across < kw ? 0 : (across - kw) / sw + 1;
        const int last = down / sh < oh ? down / sh : oh - 1;
        const int rightmost = across / sw < ow ? across / sw : ow - 1;
        const REAL* pixels = x + plane * h * w;
        const REAL value = x[i];
        REAL sum = 0;
        for (int r = first; r <= last; r++)
            for (int c = leftmost; c <= rightmost; c++) {
                const int window = (plane * oh + r) * ow + c;
                if (value < y[window])                  // cheap, and true for most windows
                    continue;
                if (largest(pixels, h, w, r * sh - ph, c * sw - pw, kh, kw) == own)
                    sum += dy[window];
            }
        dx[i] = sum;
    }
}

// NaN where a switch points outside its plane. So the error is visible, and the host need not check
// switches, for which it would have to wait.
extern "C" __global__ void take(const REAL* x,                          // planes * pixels
                                const long long* switches,              // planes * windows
                                REAL* y,                                // planes * windows
                                int planes, int pixels, int windows)
{
    EACH(i, planes * windows) {
        const int plane = i / windows;
        const long long at = switches[i];
        y[i] = 0 <= at && at < pixels ? x[plane * pixels + at] : (REAL)nan("");
    }
}

// unpool does not know the windows of its switches, and a pixel that compared itself with
// every switch would be slow. Three kernels find out which switches a pixel has to compare:
// 1. Between which rows of pixels do the switches of each row of windows lie? And columns?
extern "C" __global__ void bounds(const long long* switches,            // planes * oh * ow
                                  int* bounds,                          // planes * (oh + ow) * 2
                                  int planes, int w, int oh, int ow)
{
    EACH(i, planes * (oh + ow)) {
        const int plane = i / (oh + ow), line = i % (oh + ow);
        const int across = line < oh, count = across ? ow : oh;
        const long long* at = switches + plane * oh * ow + (across ? line * ow : line - oh);
        int low = 0x7fffffff, high = -1;
        for (int k = 0; k < count; k++) {
            const int pixel = (int)at[across ? k : k * ow];
            const int place = across ? pixel / w : pixel % w;
            low = place < low ? place : low;
            high = place > high ? place : high;
        }
        bounds[2 * i] = low;
        bounds[2 * i + 1] = high;
    }
}

// 2. From which to which row of windows may a switch point into a row of pixels? And columns?
extern "C" __global__ void reach(const int* bounds,                     // planes * (oh + ow) * 2
                                 int* reach,                            // planes * (h + w) * 2
                                 int planes, int h, int w, int oh, int ow)
{
    EACH(i, planes * (h + w)) {
        const int plane = i / (h + w), line = i % (h + w);
        const int down = line < h, place = down ? line : line - h, count = down ? oh : ow;
        const int* own = bounds + 2 * (plane * (oh + ow) + (down ? 0 : oh));
        int first = count, last = -1;
        for (int k = 0; k < count; k++)
            if (own[2 * k] <= place && place <= own[2 * k + 1]) {
                first = first < k ? first : k;
                last = k;
            }
        reach[2 * i] = first;
        reach[2 * i + 1] = last;
    }
}

// 3. Each pixel adds up the windows in that range whose switch is this pixel.
extern "C" __global__ void unpool(const REAL* y,                        // planes * oh * ow
                                  const long long* switches,            // planes * oh * ow
                                  const int* reach,                     // planes * (h + w) * 2
                                  REAL* x,                              // planes * h * w
                                  int planes, int h, int w, int oh, int ow)
{
    EACH(i, planes * h * w) {
        const int column = i % w, row = i / w % h, plane = i / w / h, own = row * w + column;
        const int* rows = reach + 2 * (plane * (h + w) + row);
        const int* columns = reach + 2 * (plane * (h + w) + h + column);
        REAL sum = 0;
        for (int r = rows[0]; r <= rows[1]; r++)
            for (int c = columns[0]; c <= columns[1]; c++) {
                const int window = (plane * oh + r) * ow + c;
                if (switches[window] == own)
                    sum += y[window];
            }
        x[i] = sum;
    }
}
