// cuSPARSE: matrices of float and double with indices from 0, their products with dense
// matrices and vectors, and the changes of format between CSR, CSC, COO and dense. All other
// functions answer that they are not supported.
#include "state.h"
#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

enum { OK = 0, INVALID = 3, FAILED = 6, UNSUPPORTED = 10 };
enum Type { FLOAT = 0, DOUBLE = 1 };
enum Format { CSR, CSC, COO };
enum { BY_COLUMNS = 1, INDEX_32 = 2, INDEX_64 = 3 };

struct Sparse {
    Format format;
    int64_t rows, columns, entries;
    void *starts, *indices;             // of COO: the row and the column of each entry
    void* values;
    int start_type, index_type, type;

    int64_t start(int64_t at) const { return read_index(starts, start_type, at); }
    int64_t index(int64_t at) const { return read_index(indices, index_type, at); }

    static int64_t read_index(const void* indices, int type, int64_t at)
    {
        return type == INDEX_32 ? ((const int32_t*)indices)[at] : ((const int64_t*)indices)[at];
    }
};

struct Dense {
    int64_t rows, columns, step;
    void* values;
    int type, order;
};

static double read(const void* values, int type, int64_t at)
{
    return type == FLOAT ? ((const float*)values)[at] : ((const double*)values)[at];
}

static void write(void* values, int type, int64_t at, double x)
{
    if (type == FLOAT)
        ((float*)values)[at] = x;
    else
        ((double*)values)[at] = x;
}

static int64_t place(const Dense& d, int64_t i, int64_t j)
{
    return d.order == BY_COLUMNS ? j * d.step + i : i * d.step + j;
}

static void each_entry(const Sparse& m, std::function<void(int64_t, int64_t, double)> use)
{
    if (m.format == COO) {
        for (int64_t p = 0; p < m.entries; p++)
            use(m.start(p), m.index(p), read(m.values, m.type, p));
        return;
    }
    const int64_t lines = m.format == CSR ? m.rows : m.columns;
    for (int64_t i = 0; i < lines; i++)
        for (int64_t p = m.start(i); p < m.start(i + 1); p++) {
            const double value = read(m.values, m.type, p);
            if (m.format == CSR)
                use(i, m.index(p), value);
            else
                use(m.index(p), i, value);
        }
}

static bool is_real(int type) { return type == FLOAT || type == DOUBLE; }
static bool is_index(int type) { return type == INDEX_32 || type == INDEX_64; }

static int create(Sparse** out, Format format, int64_t rows, int64_t columns, int64_t entries,
                  void* starts, void* indices, void* values, int start_type, int index_type,
                  int base, int type)
{
    if (!is_index(start_type) || !is_index(index_type) || base || !is_real(type))
        return unsupported("cuSPARSE with these types", UNSUPPORTED);
    *out = new Sparse{format, rows, columns, entries, starts, indices, values, start_type,
                      index_type, type};
    return OK;
}

// C = alpha op(A) op(B) + beta C; sums in double, rounded once
static int multiply(const char* name, bool ta, bool tb, const void* alpha, const Sparse& a,
                    const Dense& b, const void* beta, const Dense& c, int type)
{
    if (status())
        return FAILED;
    if (!is_real(type) || a.type != type || b.type != type || c.type != type)
        return unsupported("cuSPARSE with these types", UNSUPPORTED);
    const int64_t rows = ta ? a.columns : a.rows;
    const int64_t depth = ta ? a.rows : a.columns;
    if (rows != c.rows || depth != (tb ? b.columns : b.rows)
        || c.columns != (tb ? b.rows : b.columns))
        return INVALID;
    count(PRODUCTS, 1);
    note("product %s of %ldx%ldx%ld", name, (long)rows, (long)c.columns, (long)depth);
    if (!may_run(name) || !computes())
        return OK;
    std::vector<double> sums(c.rows * c.columns);
    each_entry(a, [&](int64_t i, int64_t k, double value) {
        if (ta)
            std::swap(i, k);
        for (int64_t j = 0; j < c.columns; j++) {
            const int64_t at = tb ? place(b, j, k) : place(b, k, j);
            sums[i * c.columns + j] += value * read(b.values, type, at);
        }
    });
    const double factor = read(alpha, type, 0);
    const double kept = read(beta, type, 0);
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.columns; j++) {
            const int64_t at = place(c, i, j);
            const double before = kept ? kept * read(c.values, type, at) : 0;
            write(c.values, type, at, factor * sums[i * c.columns + j] + before);
        }
    return OK;
}

extern "C" {

int cusparseCreate(void** handle) { *handle = new int(); return OK; }
int cusparseDestroy(void* handle) { delete (int*)handle; return OK; }
int cusparseGetVersion(void*, int* version) { *version = 12600; return OK; }
int cusparseSetStream(void*, void*) { return OK; }
int cusparseGetStream(void*, void** stream) { *stream = nullptr; return OK; }
int cusparseSetPointerMode(void*, int) { return OK; }
int cusparseCreateMatDescr(void** descriptor) { *descriptor = new int(); return OK; }
int cusparseDestroyMatDescr(void* descriptor) { delete (int*)descriptor; return OK; }
int cusparseSetMatType(void*, int) { return OK; }
int cusparseSetMatIndexBase(void*, int base) { return base ? UNSUPPORTED : OK; }
int cusparseSetMatFillMode(void*, int) { return OK; }
int cusparseSetMatDiagType(void*, int) { return OK; }

const char* cusparseGetErrorName(int) { return "CUSPARSE_STATUS"; }
const char* cusparseGetErrorString(int error)
{
    return error == UNSUPPORTED ? "not supported by the stand-in driver" : "invalid argument";
}

// ---- Descriptors

int cusparseCreateCsr(Sparse** out, int64_t rows, int64_t columns, int64_t entries, void* starts,
                      void* indices, void* values, int start_type, int index_type, int base,
                      int type)
{
    return create(out, CSR, rows, columns, entries, starts, indices, values, start_type, index_type,
                  base, type);
}

int cusparseCreateCsc(Sparse** out, int64_t rows, int64_t columns, int64_t entries, void* starts,
                      void* indices, void* values, int start_type, int index_type, int base,
                      int type)
{
    return create(out, CSC, rows, columns, entries, starts, indices, values, start_type, index_type,
                  base, type);
}

int cusparseCreateCoo(Sparse** out, int64_t rows, int64_t columns, int64_t entries, void* row,
                      void* column, void* values, int index_type, int base, int type)
{
    return create(out, COO, rows, columns, entries, row, column, values, index_type, index_type,
                  base, type);
}

int cusparseDestroySpMat(Sparse* matrix) { delete matrix; return OK; }

int cusparseCreateDnMat(Dense** out, int64_t rows, int64_t columns, int64_t step, void* values,
                        int type, int order)
{
    *out = new Dense{rows, columns, step, values, type, order};
    return OK;
}

int cusparseDestroyDnMat(Dense* matrix) { delete matrix; return OK; }

int cusparseCreateDnVec(Dense** out, int64_t size, void* values, int type)
{
    *out = new Dense{size, 1, size, values, type, BY_COLUMNS};
    return OK;
}

int cusparseDestroyDnVec(Dense* vector) { delete vector; return OK; }

// ---- Products

int cusparseSpMM_bufferSize(void*, int, int, const void*, void*, void*, const void*, void*, int, int,
                            size_t* bytes)
{
    *bytes = 16;
    return OK;
}

int cusparseSpMM_preprocess(void*, int, int, const void*, void*, void*, const void*, void*, int, int,
                            void*)
{
    return OK;
}

int cusparseSpMM(void*, int ta, int tb, const void* alpha, Sparse* a, Dense* b, const void* beta,
                 Dense* c, int type, int, void*)
{
    return multiply("cusparseSpMM", ta, tb, alpha, *a, *b, beta, *c, type);
}

int cusparseSpMV_bufferSize(void*, int, const void*, void*, void*, const void*, void*, int, int,
                            size_t* bytes)
{
    *bytes = 16;
    return OK;
}

int cusparseSpMV(void*, int ta, const void* alpha, Sparse* a, Dense* x, const void* beta, Dense* y,
                 int type, int, void*)
{
    return multiply("cusparseSpMV", ta, false, alpha, *a, *x, beta, *y, type);
}

// ---- Changes of format

int cusparseXcoo2csr(void*, const int* row, int entries, int rows, int* starts, int)
{
    count(LAUNCHES, 1);
    note("launch cusparseXcoo2csr");
    std::fill(starts, starts + rows + 1, 0);
    for (int p = 0; p < entries; p++)
        starts[row[p] + 1]++;
    std::partial_sum(starts, starts + rows + 1, starts);
    return status() ? FAILED : OK;
}

int cusparseXcsr2coo(void*, const int* starts, int, int rows, int* row, int)
{
    count(LAUNCHES, 1);
    note("launch cusparseXcsr2coo");
    for (int i = 0; i < rows; i++)
        std::fill(row + starts[i], row + starts[i + 1], i);
    return status() ? FAILED : OK;
}

int cusparseCsr2cscEx2_bufferSize(void*, int, int, int, const void*, const int*, const int*, void*,
                                  int*, int*, int, int, int, int, size_t* bytes)
{
    *bytes = 16;
    return OK;
}

int cusparseCsr2cscEx2(void*, int rows, int columns, int entries, const void* values,
                       const int* starts, const int* indices, void* new_values, int* new_starts,
                       int* new_indices, int type, int, int, int, void*)
{
    if (!is_real(type))
        return unsupported("cuSPARSE with these types", UNSUPPORTED);
    count(LAUNCHES, 1);
    note("launch cusparseCsr2cscEx2");
    std::fill(new_starts, new_starts + columns + 1, 0);
    for (int p = 0; p < entries; p++)
        new_starts[indices[p] + 1]++;
    std::partial_sum(new_starts, new_starts + columns + 1, new_starts);
    std::vector<int> next(new_starts, new_starts + columns);
    for (int i = 0; i < rows; i++)
        for (int p = starts[i]; p < starts[i + 1]; p++) {
            const int to = next[indices[p]]++;
            new_indices[to] = i;
            write(new_values, type, to, read(values, type, p));
        }
    return status() ? FAILED : OK;
}

int cusparseSparseToDense_bufferSize(void*, void*, void*, int, size_t* bytes)
{
    *bytes = 16;
    return OK;
}

int cusparseSparseToDense(void*, Sparse* a, Dense* b, int, void*)
{
    count(LAUNCHES, 1);
    note("launch cusparseSparseToDense");
    for (int64_t i = 0; i < b->rows; i++)
        for (int64_t j = 0; j < b->columns; j++)
            write(b->values, b->type, place(*b, i, j), 0);
    each_entry(*a, [&](int64_t i, int64_t j, double value) {
        write(b->values, b->type, place(*b, i, j), value);
    });
    return status() ? FAILED : OK;
}

}
