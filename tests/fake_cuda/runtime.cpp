// The CUDA runtime, which CuPy's own libraries contain: importer.py makes those functions jump here.
// Everything that is asked for is done at once; what CUDA would wait for is counted as a wait.
#include "state.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

struct Event {
    double time;                // of the host, in ms; 0 before it is recorded
    bool timed;
};
struct Stream { int dummy; };

static double now()
{
    using namespace std::chrono;
    return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

static int device_attribute(int attribute)
{
    switch (attribute) {        // of an H100
    case 1: return 1024;                                // threads of a block
    case 2: case 3: return 1024;                        // … along x and y
    case 4: return 64;                                  // … along z
    case 5: return 2147483647;                          // blocks along x
    case 6: case 7: return 65535;                       // … along y and z
    case 8: return 48 << 10;                            // shared memory of a block
    case 10: return 32;                                 // threads of a warp
    case 12: case 82: return 65536;                     // registers
    case 16: return 132;                                // multiprocessors
    case 39: return 2048;                               // threads of a multiprocessor
    case 75: return 9;                                  // compute capability
    case 76: return 0;
    case 81: return 228 << 10;                          // shared memory of a multiprocessor
    case 97: return 227 << 10;                          // … of a block that asks for it
    case 115: return 1;                                 // memory pools
    default: return 0;
    }
}

extern "C" {

// ---- Devices

int cudaGetDeviceCount(int* number) { *number = 1; return status(); }
int cudaGetDevice(int* device) { *device = 0; return status(); }
int cudaSetDevice(int device) { return status() ? status() : device ? 101 : SUCCESS; }
int cudaDriverGetVersion(int* version) { *version = 13000; return SUCCESS; }
int cudaRuntimeGetVersion(int* version) { *version = 13000; return SUCCESS; }

int cudaDeviceGetAttribute(int* value, int attribute, int)
{
    *value = device_attribute(attribute);
    return status();
}

int cudaGetDeviceProperties(void* properties, int)
{
    // name[256], uuid[16], luid[8], mask: then as below
    struct { char name[256]; char ids[24]; unsigned mask; size_t memory, shared; int registers, warp;
             size_t pitch; int threads; } filled = {};
    strcpy(filled.name, "stand-in driver, no GPU");
    filled.memory = memory_total();
    filled.shared = 48 << 10;
    filled.registers = 65536;
    filled.warp = 32;
    filled.threads = 1024;
    memset(properties, 0, 1008);
    memcpy(properties, &filled, sizeof filled);
    return status();
}

int cudaGetDeviceProperties_v2(void* properties, int device)
{
    return cudaGetDeviceProperties(properties, device);
}

int cudaDeviceGetPCIBusId(char* text, int bytes, int)
{
    snprintf(text, bytes, "0000:00:00.0");
    return status();
}

int cudaDeviceGetLimit(size_t* value, int) { *value = 0; return status(); }
int cudaDeviceSetLimit(int, size_t) { return status(); }
int cudaDeviceCanAccessPeer(int* can, int, int) { *can = 0; return status(); }
int cudaDeviceSynchronize() { note("wait for the device"); return wait_for_device(); }

const char* cudaGetErrorName(int error)
{
    return error == OUT_OF_MEMORY ? "cudaErrorMemoryAllocation"
        : error == ILLEGAL_ADDRESS ? "cudaErrorIllegalAddress"
        : error == INVALID_VALUE ? "cudaErrorInvalidValue"
        : error == NOT_SUPPORTED ? "cudaErrorNotSupported" : "cudaError";
}

const char* cudaGetErrorString(int error)
{
    return error == OUT_OF_MEMORY ? "out of memory"
        : error == ILLEGAL_ADDRESS ? "an illegal memory access was encountered"
        : error == INVALID_VALUE ? "invalid argument"
        : error == NOT_SUPPORTED ? "operation not supported" : "an error of the stand-in driver";
}

// ---- Memory

int cudaMalloc(void** pointer, size_t bytes) { return allocate(pointer, bytes); }
int cudaMallocAsync(void** pointer, size_t bytes, void*) { return allocate(pointer, bytes); }
int cudaFree(void* pointer) { return release(pointer); }
int cudaFreeAsync(void* pointer, void*) { return release(pointer); }

int cudaMemGetInfo(size_t* free, size_t* total)
{
    *free = memory_free();
    *total = memory_total();
    return status();
}

int cudaHostAlloc(void** pointer, size_t bytes, unsigned) { return allocate_pinned(pointer, bytes); }

int cudaMallocHost(void** pointer, size_t bytes) { return allocate_pinned(pointer, bytes); }
int cudaFreeHost(void* pointer) { return release_pinned(pointer); }
int cudaHostRegister(void*, size_t, unsigned) { return status(); }
int cudaHostUnregister(void*) { return status(); }

int cudaPointerGetAttributes(void* attributes, const void* pointer)
{
    enum { UNREGISTERED, HOST, DEVICE };
    struct { int type, device; const void *on_device, *on_host; } filled = {};
    const bool is_device = on_device(pointer, 0);
    filled.type = is_device ? DEVICE : UNREGISTERED;
    filled.on_device = is_device ? pointer : nullptr;
    filled.on_host = is_device ? nullptr : pointer;
    memcpy(attributes, &filled, sizeof filled);
    return status();
}

int cudaDeviceGetDefaultMemPool(void** pool, int) { *pool = new Stream(); return status(); }
int cudaDeviceGetMemPool(void** pool, int) { *pool = new Stream(); return status(); }

int cudaMemcpy(void* to, const void* from, size_t bytes, int kind)
{
    const int ON_DEVICE = 3;
    const int error = kind == ON_DEVICE ? SUCCESS : wait_for_device();
    return error ? error : copy(to, from, bytes, kind, true);
}

int cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, void*)
{
    return copy(to, from, bytes, kind, false);
}

int cudaMemcpyPeer(void* to, int, const void* from, int, size_t bytes)
{
    return copy(to, from, bytes, 3, true);
}

int cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, void*)
{
    return copy(to, from, bytes, 3, true);
}

int cudaMemsetAsync(void* pointer, int value, size_t bytes, void*)
{
    if (status())
        return status();
    if (bytes && !on_device(pointer, bytes))
        return keep_error(INVALID_VALUE);
    count(FILLS, 1);
    note("fill %zu", bytes);
    if (computes())
        memset(pointer, value, bytes);
    return SUCCESS;
}

int cudaMemset(void* pointer, int value, size_t bytes)
{
    return cudaMemsetAsync(pointer, value, bytes, nullptr);
}

// ---- Streams and events

int cudaStreamCreate(void** stream) { *stream = new Stream(); return status(); }
int cudaStreamCreateWithFlags(void** stream, unsigned) { return cudaStreamCreate(stream); }
int cudaStreamCreateWithPriority(void** stream, unsigned, int) { return cudaStreamCreate(stream); }
int cudaStreamDestroy(void* stream) { delete (Stream*)stream; return status(); }
int cudaStreamSynchronize(void*) { note("wait for a stream"); return wait_for_device(); }
int cudaStreamWaitEvent(void*, void*, unsigned) { return status(); }
int cudaStreamQuery(void*) { return ask_device(); }
int cudaStreamIsCapturing(void*, int* is) { *is = 0; return status(); }
int cudaStreamGetPriority(void*, int* priority) { *priority = 0; return status(); }
int cudaDeviceGetStreamPriorityRange(int* least, int* most) { *least = *most = 0; return status(); }
int cudaStreamBeginCapture() { return unsupported("cudaStreamBeginCapture", NOT_SUPPORTED); }
int cudaStreamEndCapture() { return unsupported("cudaStreamEndCapture", NOT_SUPPORTED); }

int cudaEventCreateWithFlags(void** event, unsigned flags)
{
    const unsigned NO_TIME = 2;
    count(EVENTS, 1);
    *event = new Event{0, !(flags & NO_TIME)};
    return status();
}

int cudaEventCreate(void** event) { return cudaEventCreateWithFlags(event, 0); }
int cudaEventDestroy(void* event) { delete (Event*)event; return status(); }
int cudaEventRecord(void* event, void*) { ((Event*)event)->time = now(); return status(); }
int cudaEventQuery(void*) { return ask_device(); }
int cudaEventSynchronize(void*) { note("wait for an event"); return wait_for_device(); }

int cudaEventElapsedTime(float* ms, void* from, void* to)
{
    const Event& first = *(Event*)from;
    const Event& second = *(Event*)to;
    if (!first.time || !second.time || !first.timed || !second.timed)
        return keep_error(INVALID_HANDLE);
    *ms = second.time - first.time;
    return status();
}

int cudaEventElapsedTime_v2(float* ms, void* from, void* to)
{
    return cudaEventElapsedTime(ms, from, to);
}

// ---- Kernels that CuPy's libraries contain, of CUB and thrust: there is no code of them to run

int cudaLaunchKernel() { return unsupported("a kernel of CUB or thrust", NOT_SUPPORTED); }
int cudaLaunchKernelExC() { return unsupported("a kernel of CUB or thrust", NOT_SUPPORTED); }

// every function of the runtime that is not here
int fake_cuda_missing() { return unsupported("a function of the CUDA runtime", NOT_SUPPORTED); }

}
