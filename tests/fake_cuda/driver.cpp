// The CUDA driver, libcuda.so.1: one device. A module is a library that nvrtc.py compiled; a kernel
// runs when it is launched.
#include "state.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

static const char PREFIX[] = "HOST:";           // an image: this, and the path of a library
static const unsigned STATIC_LIMIT = 48 << 10;  // bytes of shared memory without being asked for
static const unsigned LARGEST_SHARED = 227 << 10;

static void* const CONTEXT = (void*)1;

static bool is_launchable(const Kernel& kernel, Dim3 grid, Dim3 block, unsigned shared)
{
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    const size_t limit = kernel.dynamic_limit ? kernel.dynamic_limit : STATIC_LIMIT;
    return grid.x && grid.y && grid.z && grid.x < 1u << 31 && grid.y < 1u << 16
        && grid.z < 1u << 16 && threads && threads <= 1024 && block.z <= 64
        && kernel.shared_bytes + shared <= limit;
}

extern "C" {

int cuGetErrorName(int error, const char** name)
{
    static char text[40];
    snprintf(text, sizeof text, "CUDA_ERROR_%d", error);
    *name = text;
    return SUCCESS;
}

int cuGetErrorString(int error, const char** text)
{
    *text = error == ILLEGAL_ADDRESS ? "an illegal memory access was encountered"
        : error == INVALID_VALUE ? "invalid argument"
        : error == NOT_FOUND ? "named symbol not found"
        : error == OUT_OF_MEMORY ? "out of memory" : "an error of the stand-in driver";
    return SUCCESS;
}

int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int* version) { *version = 13000; return SUCCESS; }
int cuCtxGetCurrent(void** context) { *context = CONTEXT; return status(); }
int cuCtxSetCurrent(void*) { return status(); }
int cuCtxGetDevice(int* device) { *device = 0; return status(); }
int cuCtxCreate_v2(void** context, unsigned, int) { *context = CONTEXT; return status(); }
int cuCtxDestroy_v2(void*) { return SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuStreamGetCtx(void*, void** context) { *context = CONTEXT; return status(); }

int cuModuleLoadData(void** module, const void* image)
{
    if (status())
        return status();
    if (strncmp((const char*)image, PREFIX, strlen(PREFIX)))
        return INVALID_IMAGE;
    *module = dlopen((const char*)image + strlen(PREFIX), RTLD_NOW | RTLD_LOCAL);
    if (!*module)
        fprintf(stderr, "stand-in driver: %s\n", dlerror());
    return *module ? SUCCESS : INVALID_IMAGE;
}

// the library stays: another module may be the same one
int cuModuleUnload(void*) { return SUCCESS; }

int cuModuleGetFunction(void** function, void* module, const char* name)
{
    char symbol[300];
    snprintf(symbol, sizeof symbol, "call_%s", name);
    Kernel* kernel = new Kernel();
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    kernel->call = (void (*)(void**))dlsym(module, symbol);
    if (!kernel->call) {
        delete kernel;
        return NOT_FOUND;
    }
    auto shared = (void (*)(char**, size_t*))dlsym(module, "cuda_shared");
    shared(&kernel->shared, &kernel->shared_bytes);
    kernel->has_barrier = *(int*)dlsym(module, "cuda_has_barrier");
    *function = kernel;
    return status();
}

int cuModuleGetGlobal_v2(void** pointer, size_t*, void* module, const char* name)
{
    *pointer = dlsym(module, name);
    return *pointer ? SUCCESS : NOT_FOUND;
}

int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, void*, void** arguments, void**)
{
    if (status())
        return status();
    const Kernel& kernel = *(Kernel*)function;
    count(LAUNCHES, 1);
    note("launch %s %ux%ux%u blocks of %ux%ux%u", kernel.name, gx, gy, gz, bx, by, bz);
    if (!is_launchable(kernel, {gx, gy, gz}, {bx, by, bz}, shared))
        return keep_error(INVALID_VALUE);
    if (may_run(kernel.name) && computes())
        run_kernel(kernel, {gx, gy, gz}, {bx, by, bz}, arguments);
    return status();
}

int cuLaunchCooperativeKernel() { return unsupported("cuLaunchCooperativeKernel", NOT_SUPPORTED); }

int cuFuncGetAttribute(int* value, int attribute, void* function)
{
    enum { MAX_THREADS, SHARED_BYTES, CONSTANT_BYTES, LOCAL_BYTES, REGISTERS };
    *value = attribute == MAX_THREADS ? 1024
        : attribute == SHARED_BYTES ? (int)((Kernel*)function)->shared_bytes
        : attribute == REGISTERS ? 32 : 0;
    return status();
}

int cuFuncSetAttribute(void* function, int attribute, int value)
{
    const int MAX_DYNAMIC_SHARED = 8;
    if (attribute == MAX_DYNAMIC_SHARED) {
        if (value < 0 || value > (int)LARGEST_SHARED)
            return INVALID_VALUE;
        ((Kernel*)function)->dynamic_limit = value;
    }
    return status();
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void*, int threads, size_t)
{
    *blocks = 2048 / threads;
    return status();
}

int cuOccupancyMaxPotentialBlockSize(int* grid, int* block, void*, void*, size_t, int)
{
    *grid = 132;
    *block = 256;
    return status();
}

int cuGetExportTable(const void** table, const void*) { *table = nullptr; return NOT_FOUND; }

int cuGetProcAddress(const char*, void** function, int, uint64_t)
{
    *function = nullptr;
    return NOT_FOUND;
}

int cuGetProcAddress_v2(const char*, void** function, int, uint64_t, int*)
{
    *function = nullptr;
    return NOT_FOUND;
}

}
