// Softmax cross-entropy, one thread for a pixel. Sums are trees of a fixed shape, in double: the
// same bits every time. The results stay on the GPU, so the host does not wait.

#define THREADS 256     // of a block; a power of two, for sum_of_block halves them again and again

#define EACH(i, count) for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; \
                            i < (unsigned)(count); i += gridDim.x * blockDim.x)

// *sum = the sum of `own` over the threads of a block
__device__ void sum_of_block(double own, double* sum)
{
    __shared__ double shared[THREADS];
    shared[threadIdx.x] = own;
    __syncthreads();
    for (int half = THREADS / 2; half; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        *sum = shared[0];
}

// sum = Σ parts, in one block
extern "C" __global__ void total(const double* parts,                   // count
                                 double* sum,                           // 1
                                 int count)
{
    double own = 0;
    EACH(i, count)
        own += parts[i];
    sum_of_block(own, sum);
}

// parts = how many pixels of each block are not ignored
extern "C" __global__ void valid(const int* label,                      // count
                                 double* parts,                         // blocks
                                 int count, int ignore, int blocks)
{
    double own = 0;
    EACH(i, count)
        own += label[i] != ignore;
    sum_of_block(own, parts + blockIdx.x);
}

// loss = −weight · log softmax(score)[label], dscore = weight · (softmax(score) − 1 at label)
// A label that is not a class makes both NaN. So the error is visible, and the host need not check
// labels, for which it would have to wait.
extern "C" __global__ void softmax_cross_entropy(
    const REAL* score,          // n * c * pixels
    const int* label,           // n * pixels
    const REAL* class_weight,   // by_class * c
    const REAL* pixel_weight,   // by_pixel * n * pixels
    const double* valid,        // mean
    REAL* dscore,               // n * c * pixels
    double* parts,              // blocks
    int n, int c, int pixels, int ignore, int by_class, int by_pixel, int mean, int blocks)
{
    double own = 0;
    EACH(i, n * pixels) {
        const int truth = label[i];
        const long long first = (long long)(i / pixels) * c * pixels + i % pixels;
        if (truth == ignore) {                  // its score may be anything, also infinite
            for (int k = 0; k < c; k++)
                dscore[first + (long long)k * pixels] = 0;
            continue;
        }
        REAL weight = 1, largest = score[first], sum = 0;
        if (truth < 0 || truth >= c)
            weight = (REAL)nan("");
        else if (by_class)
            weight *= class_weight[truth];
        if (by_pixel)
            weight *= pixel_weight[i];
        if (mean)
            weight /= (REAL)(*valid > 1 ? *valid : 1);

        for (int k = 1; k < c; k++) {
            const REAL value = score[first + (long long)k * pixels];
            largest = value > largest || value != value ? value : largest;  // exp never overflows
        }
        for (int k = 0; k < c; k++)
            sum += exp(score[first + (long long)k * pixels] - largest);
        for (int k = 0; k < c; k++) {
            const REAL shifted = score[first + (long long)k * pixels] - largest;
            dscore[first + (long long)k * pixels] = (exp(shifted) / sum - (k == truth)) * weight;
            if (k == truth)
                own += weight * (log(sum) - shifted);
        }
        if (weight != weight)
            own = weight;
    }
    sum_of_block(own, parts + blockIdx.x);
}
