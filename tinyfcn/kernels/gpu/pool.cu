// Pooling by gathering: a thread for each value of the result, and nobody writes beside his own.
// Sums run over windows in their order, row by row, so that the same sum comes every time.

#define EACH(i, count) for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; \
                            i < (unsigned)(count); i += gridDim.x * blockDim.x)

// where the window's largest pixel stands in its plane: the first of equals, NaN above all
__device__ int largest(const REAL* plane, int h, int w, int top, int left, int kh, int kw)
{
    const int bottom = top + kh < h ? top + kh : h, right = left + kw < w ? left + kw : w;
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    int at = top * w + left;
    REAL most = plane[at];
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) {
            const REAL value = plane[row * w + column];
            if (value > most || (value != value && most == most)) {
                most = value;
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

// each pixel asks the windows that reach it whether it is their largest
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
                if (value < y[window])                  // most end here, after a single look
                    continue;
                if (largest(pixels, h, w, r * sh - ph, c * sw - pw, kh, kw) == own)
                    sum += dy[window];
            }
        dx[i] = sum;
    }
}

// NaN where a switch points beside its plane: it shows, and costs no look from the host
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

// unpool does not know what windows its switches came from. So it looks: between which pixels do
// the switches of each row of windows lie, and those of each column?
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

// then: from which to which row of windows may anything reach a row of pixels, or a column?
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

// and each pixel sums those among them whose switch says it
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
