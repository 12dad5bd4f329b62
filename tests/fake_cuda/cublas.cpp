// cuBLAS: products of float and double matrices, which are stored column by column.
//
// Sums are made in double and rounded once. Under compute type TF32 the factors are rounded to 11
// bits first, as tensor cores do. All other functions answer that they are not supported.
#include "state.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

enum { OK = 0, NOT_INITIALIZED = 1, INVALID = 7, FAILED = 13, UNSUPPORTED = 15 };
enum Type { FLOAT = 0, DOUBLE = 1 };
enum Compute { COMPUTE_FLOAT = 68, COMPUTE_FLOAT_PEDANTIC = 69, COMPUTE_DOUBLE = 70,
               COMPUTE_DOUBLE_PEDANTIC = 71, COMPUTE_TF32 = 77 };
enum { HOST_POINTERS = 0, TF32_MATH = 3 };

struct Handle {
    void* stream;
    int pointer_mode, math_mode;
};

struct Shape { int ta, tb, m, n, k, lda, ldb, ldc; };

// the nearest number with 10 bits behind the point, ties away from 0
static double round_to_tf32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (std::isfinite(x))
        bits = (bits + 0x1000) & ~0x1fffu;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double round_to_tf32(double x) { return x; }

__attribute__((target_clones("avx2", "default")))
static void add_scaled(int n, double factor, const double* x, double* sums)
{
    for (int i = 0; i < n; i++)
        sums[i] += factor * x[i];
}

// C = alpha A B + beta C for column-major op(A) m×k, op(B) k×n
template<class T>
static void multiply(const Shape& s, double alpha, const T* a, const T* b, double beta, T* c,
                     bool tf32)
{
    std::vector<double> left((size_t)s.m * s.k);
    for (int p = 0; p < s.k; p++)
        for (int i = 0; i < s.m; i++) {
            const T x = s.ta ? a[(size_t)i * s.lda + p] : a[(size_t)p * s.lda + i];
            left[(size_t)p * s.m + i] = tf32 ? round_to_tf32(x) : x;
        }
    std::vector<double> sums(s.m);
    for (int j = 0; j < s.n; j++) {
        std::fill(sums.begin(), sums.end(), 0.);
        for (int p = 0; p < s.k; p++) {
            const T x = s.tb ? b[(size_t)p * s.ldb + j] : b[(size_t)j * s.ldb + p];
            add_scaled(s.m, tf32 ? round_to_tf32(x) : x, &left[(size_t)p * s.m], sums.data());
        }
        T* column = c + (size_t)j * s.ldc;
        for (int i = 0; i < s.m; i++)           // beta = 0: what C holds does not count
            column[i] = alpha * sums[i] + (beta ? beta * column[i] : 0);
    }
}

// Whether a product may be computed; counts and notes it.
static int check(const char* name, const Handle* handle, const Shape& s, int batch, int compute)
{
    if (!handle)
        return NOT_INITIALIZED;
    if (status())
        return FAILED;
    if (handle->pointer_mode != HOST_POINTERS)
        return unsupported("cuBLAS with alpha on the device", UNSUPPORTED);
    if (s.m < 0 || s.n < 0 || s.k < 0 || s.lda < (s.ta ? s.k : s.m) || s.ldb < (s.tb ? s.n : s.k)
        || s.ldc < s.m || s.lda < 1 || s.ldb < 1 || s.ldc < 1)
        return INVALID;
    count(PRODUCTS, 1);
    if (compute == COMPUTE_TF32)
        count(TF32_PRODUCTS, 1);
    note("product %s %d of %dx%dx%d, compute type %d", name, batch, s.m, s.n, s.k, compute);
    return OK;
}

static bool is_tf32(const Handle* handle, int compute)
{
    return compute == COMPUTE_TF32 || (compute == COMPUTE_FLOAT && handle->math_mode == TF32_MATH);
}

template<class T>
static int product(const char* name, Handle* handle, const Shape& s, const void* alpha,
                   const void* a, int64_t a_step, const void* b, int64_t b_step, const void* beta,
                   void* c, int64_t c_step, int batch, int compute)
{
    if (const int error = check(name, handle, s, batch, compute))
        return error;
    if (!may_run(name) || !computes())
        return OK;
    for (int i = 0; i < batch; i++)
        multiply(s, *(const T*)alpha, (const T*)a + i * a_step, (const T*)b + i * b_step,
                 *(const T*)beta, (T*)c + i * c_step, is_tf32(handle, compute));
    return OK;
}

// float with a compute type of float, double with one of double
static int product_of(int type, const char* name, Handle* handle, const Shape& s, const void* alpha,
                      const void* a, int64_t a_step, const void* b, int64_t b_step,
                      const void* beta, void* c, int64_t c_step, int batch, int compute)
{
    const bool of_float = compute == COMPUTE_FLOAT || compute == COMPUTE_FLOAT_PEDANTIC
        || compute == COMPUTE_TF32;
    const bool of_double = compute == COMPUTE_DOUBLE || compute == COMPUTE_DOUBLE_PEDANTIC;
    if (type == FLOAT && of_float)
        return product<float>(name, handle, s, alpha, a, a_step, b, b_step, beta, c, c_step, batch,
                              compute);
    if (type == DOUBLE && of_double)
        return product<double>(name, handle, s, alpha, a, a_step, b, b_step, beta, c, c_step, batch,
                               compute);
    return unsupported("cuBLAS with these types", UNSUPPORTED);
}

template<class T>
static int of_pointers(const char* name, Handle* handle, const Shape& s, const T* alpha,
                       const T* const* a, const T* const* b, const T* beta, T* const* c, int batch,
                       int compute)
{
    if (const int error = check(name, handle, s, batch, compute))
        return error;
    if (!may_run(name) || !computes())
        return OK;
    for (int i = 0; i < batch; i++)
        multiply(s, *alpha, a[i], b[i], *beta, c[i], is_tf32(handle, compute));
    return OK;
}

template<class T>
static int dot(Handle* handle, int n, const T* x, int x_step, const T* y, int y_step, T* result)
{
    if (!handle)
        return NOT_INITIALIZED;
    if (status())
        return FAILED;
    count(PRODUCTS, 1);
    note("product dot of %d", n);
    if (!may_run("dot") || !computes())
        return OK;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)x[(int64_t)i * x_step] * y[(int64_t)i * y_step];
    *result = sum;              // on the host or on the device: memory is one
    return OK;
}

template<class T>
static int gemv(const char* name, Handle* handle, int t, int m, int n, const T* alpha, const T* a,
                int lda, const T* x, int x_step, const T* beta, T* y, int y_step, int compute)
{
    if (x_step != 1 || y_step != 1)
        return unsupported("gemv with steps", UNSUPPORTED);
    const int rows = t ? n : m;
    const int depth = t ? m : n;
    const Shape s = {t, 0, rows, 1, depth, lda, depth > 1 ? depth : 1, rows > 1 ? rows : 1};
    return product<T>(name, handle, s, alpha, a, 0, x, 0, beta, y, 0, 1, compute);
}

// C = alpha op(A) + beta op(B), m×n; with alpha = 0 or beta = 0 that matrix is not read
template<class T>
static int add(const char* name, Handle* handle, int ta, int tb, int m, int n, const T* alpha,
               const T* a, int lda, const T* beta, const T* b, int ldb, T* c, int ldc)
{
    if (!handle)
        return NOT_INITIALIZED;
    if (status())
        return FAILED;
    count(LAUNCHES, 1);
    note("launch %s of %dx%d", name, m, n);
    if (!may_run(name) || !computes())
        return OK;
    const auto at = [](int transposed, int i, int j, int step) {
        return transposed ? (size_t)i * step + j : (size_t)j * step + i;
    };
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++)
            c[(size_t)j * ldc + i] = (*alpha ? *alpha * a[at(ta, i, j, lda)] : 0)
                + (*beta ? *beta * b[at(tb, i, j, ldb)] : 0);
    return OK;
}

extern "C" {

int cublasCreate_v2(Handle** handle) { *handle = new Handle(); return OK; }
int cublasDestroy_v2(Handle* handle) { delete handle; return OK; }
int cublasGetVersion_v2(Handle*, int* version) { *version = 130000; return OK; }
int cublasSetStream_v2(Handle* handle, void* stream) { handle->stream = stream; return OK; }
int cublasGetStream_v2(Handle* handle, void** stream) { *stream = handle->stream; return OK; }
int cublasSetPointerMode_v2(Handle* handle, int mode) { handle->pointer_mode = mode; return OK; }
int cublasGetPointerMode_v2(Handle* handle, int* mode) { *mode = handle->pointer_mode; return OK; }
int cublasSetMathMode(Handle* handle, int mode) { handle->math_mode = mode; return OK; }
int cublasGetMathMode(Handle* handle, int* mode) { *mode = handle->math_mode; return OK; }
int cublasSetWorkspace_v2(Handle*, void*, size_t) { return OK; }

int cublasSgemm_v2(Handle* h, int ta, int tb, int m, int n, int k, const float* alpha,
                   const float* a, int lda, const float* b, int ldb, const float* beta, float* c,
                   int ldc)
{
    return product<float>("cublasSgemm", h, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, 0, b, 0,
                          beta, c, 0, 1, COMPUTE_FLOAT);
}

int cublasDgemm_v2(Handle* h, int ta, int tb, int m, int n, int k, const double* alpha,
                   const double* a, int lda, const double* b, int ldb, const double* beta,
                   double* c, int ldc)
{
    return product<double>("cublasDgemm", h, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, 0, b, 0,
                           beta, c, 0, 1, COMPUTE_DOUBLE);
}

int cublasGemmEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a,
                 int, int lda, const void* b, int, int ldb, const void* beta, void* c, int type,
                 int ldc, int compute, int)
{
    return product_of(type, "cublasGemmEx", h, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, 0, b, 0,
                      beta, c, 0, 1, compute);
}

int cublasGemmStridedBatchedEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha,
                               const void* a, int, int lda, long long a_step, const void* b, int,
                               int ldb, long long b_step, const void* beta, void* c, int type,
                               int ldc, long long c_step, int batch, int compute, int)
{
    return product_of(type, "cublasGemmStridedBatchedEx", h, {ta, tb, m, n, k, lda, ldb, ldc},
                      alpha, a, a_step, b, b_step, beta, c, c_step, batch, compute);
}

int cublasSgemmStridedBatched(Handle* h, int ta, int tb, int m, int n, int k, const float* alpha,
                              const float* a, int lda, long long a_step, const float* b, int ldb,
                              long long b_step, const float* beta, float* c, int ldc,
                              long long c_step, int batch)
{
    return product<float>("cublasSgemmStridedBatched", h, {ta, tb, m, n, k, lda, ldb, ldc}, alpha,
                          a, a_step, b, b_step, beta, c, c_step, batch, COMPUTE_FLOAT);
}

int cublasDgemmStridedBatched(Handle* h, int ta, int tb, int m, int n, int k, const double* alpha,
                              const double* a, int lda, long long a_step, const double* b, int ldb,
                              long long b_step, const double* beta, double* c, int ldc,
                              long long c_step, int batch)
{
    return product<double>("cublasDgemmStridedBatched", h, {ta, tb, m, n, k, lda, ldb, ldc}, alpha,
                           a, a_step, b, b_step, beta, c, c_step, batch, COMPUTE_DOUBLE);
}

int cublasSgemmBatched(Handle* h, int ta, int tb, int m, int n, int k, const float* alpha,
                       const float* const* a, int lda, const float* const* b, int ldb,
                       const float* beta, float* const* c, int ldc, int batch)
{
    return of_pointers("cublasSgemmBatched", h, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, b, beta,
                       c, batch, COMPUTE_FLOAT);
}

int cublasDgemmBatched(Handle* h, int ta, int tb, int m, int n, int k, const double* alpha,
                       const double* const* a, int lda, const double* const* b, int ldb,
                       const double* beta, double* const* c, int ldc, int batch)
{
    return of_pointers("cublasDgemmBatched", h, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, b, beta,
                       c, batch, COMPUTE_DOUBLE);
}

int cublasSgemv_v2(Handle* h, int t, int m, int n, const float* alpha, const float* a, int lda,
                   const float* x, int x_step, const float* beta, float* y, int y_step)
{
    return gemv("cublasSgemv", h, t, m, n, alpha, a, lda, x, x_step, beta, y, y_step, COMPUTE_FLOAT);
}

int cublasDgemv_v2(Handle* h, int t, int m, int n, const double* alpha, const double* a, int lda,
                   const double* x, int x_step, const double* beta, double* y, int y_step)
{
    return gemv("cublasDgemv", h, t, m, n, alpha, a, lda, x, x_step, beta, y, y_step,
                COMPUTE_DOUBLE);
}

int cublasSdot_v2(Handle* h, int n, const float* x, int x_step, const float* y, int y_step,
                  float* result)
{
    return dot(h, n, x, x_step, y, y_step, result);
}

int cublasDdot_v2(Handle* h, int n, const double* x, int x_step, const double* y, int y_step,
                  double* result)
{
    return dot(h, n, x, x_step, y, y_step, result);
}

int cublasSgeam(Handle* h, int ta, int tb, int m, int n, const float* alpha, const float* a,
                int lda, const float* beta, const float* b, int ldb, float* c, int ldc)
{
    return add("cublasSgeam", h, ta, tb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);
}

int cublasDgeam(Handle* h, int ta, int tb, int m, int n, const double* alpha, const double* a,
                int lda, const double* beta, const double* b, int ldb, double* c, int ldc)
{
    return add("cublasDgeam", h, ta, tb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);
}

}
