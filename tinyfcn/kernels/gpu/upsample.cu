// y = rows · x · columnsᵀ on every plane. Each row of either matrix is a short band of entries:
// `high` of them from top[i] on, `wide` of them from left[j] on.

#define EACH(i, count) for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; \
                            i < (unsigned)(count); i += gridDim.x * blockDim.x)

// Entries of 0 are skipped, and their pixels are not read: they may lie outside the plane.
extern "C" __global__ void separable(const REAL* x,                     // planes * h * w
                                     const int* top,                    // oh
                                     const REAL* rows,                  // oh * high
                                     const int* left,                   // ow
                                     const REAL* columns,               // ow * wide
                                     REAL* y,                           // planes * oh * ow
                                     int planes, int h, int w, int oh, int ow, int high, int wide)
{
    EACH(i, planes * oh * ow) {
        const int column = i % ow, row = i / ow % oh, plane = i / ow / oh;
        REAL sum = 0;
        for (int a = 0; a < high; a++) {
            const REAL down = rows[row * high + a];
            if (down == 0)
                continue;
            const REAL* line = x + (plane * h + top[row] + a) * w + left[column];
            REAL part = 0;
            for (int b = 0; b < wide; b++) {
                const REAL across = columns[column * wide + b];
                if (across != 0)
                    part += across * line[b];
            }
            sum += down * part;
        }
        y[i] = sum;
    }
}
