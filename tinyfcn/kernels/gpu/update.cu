// How weights move, in one pass over memory.

#define EACH(i, count) for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
                            i < count; i += (long long)gridDim.x * blockDim.x)

// SGD: v = momentum · v + lr · (scale · g + decay · w), w = w − v
extern "C" __global__ void sgd_update(REAL* w,                             // count
                                   const REAL* g,                       // count
                                   REAL* v,                             // count
                                   REAL lr, REAL momentum, REAL decay, REAL scale,
                                   long long count)
{
    EACH(i, count) {
        const REAL moved = v[i] * momentum + lr * (scale * g[i] + decay * w[i]);
        v[i] = moved;
        w[i] -= moved;
    }
}

// Adam: w = w − lr · m / (√(s / unbias) + eps), where lr has the unbiasing of m in it
extern "C" __global__ void adam_update(REAL* w,                               // count
                                 const REAL* g,                         // count
                                 REAL* m,                               // count
                                 REAL* s,                               // count
                                 REAL lr, REAL beta1, REAL rest1, REAL beta2, REAL rest2, REAL eps,
                                 REAL decay, REAL scale, REAL unbias, long long count)
{
    EACH(i, count) {
        const REAL slope = scale * g[i] + decay * w[i];
        const REAL mean = m[i] * beta1 + rest1 * slope;
        const REAL square = s[i] * beta2 + rest2 * slope * slope;
        m[i] = mean;
        s[i] = square;
        w[i] -= lr * mean / (sqrt(square / unbias) + eps);
    }
}
