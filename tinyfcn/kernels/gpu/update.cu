// The update of a weight in one pass over memory.

#define EACH(i, count) for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
                            i < count; i += (long long)gridDim.x * blockDim.x)

// v = momentum · v + lr · (scale · g + decay · w), w = w − v
extern "C" __global__ void sgd_update(REAL* w,                          // count
                                      const REAL* g,                    // count
                                      REAL* v,                          // count
                                      REAL lr, REAL momentum, REAL decay, REAL scale,
                                      long long count)
{
    EACH(i, count) {
        const REAL velocity = v[i] * momentum + lr * (scale * g[i] + decay * w[i]);
        v[i] = velocity;
        w[i] -= velocity;
    }
}

// w = w − lr · m / (√(s / correction) + eps). lr contains the bias correction of m already;
// complement1 and complement2 are 1 − beta1 and 1 − beta2.
extern "C" __global__ void adam_update(REAL* w,                         // count
                                       const REAL* g,                   // count
                                       REAL* m,                         // count
                                       REAL* s,                         // count
                                       REAL lr, REAL beta1, REAL complement1,
                                       REAL beta2, REAL complement2, REAL eps,
                                       REAL decay, REAL scale, REAL correction, long long count)
{
    EACH(i, count) {
        const REAL gradient = scale * g[i] + decay * w[i];
        const REAL first = m[i] * beta1 + complement1 * gradient;
        const REAL second = s[i] * beta2 + complement2 * gradient * gradient;
        m[i] = first;
        s[i] = second;
        w[i] -= lr * first / (sqrt(second / correction) + eps);
    }
}
