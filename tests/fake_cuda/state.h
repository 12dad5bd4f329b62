// What the parts of the stand-in driver share: errors, counters, device memory, running a kernel.
#pragma once
#include <cstddef>
#include <cstdint>

// error codes of CUDA, the same in the driver and in the runtime
enum Status {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_CONFIGURATION = 9,
    INVALID_IMAGE = 200, INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700,
    OUT_OF_RESOURCES = 701, NOT_SUPPORTED = 801,
};

// in the order of the names in driver.py
enum Counter {
    LAUNCHES, UPLOADS, DOWNLOADS, DEVICE_COPIES, FILLS, ALLOCATIONS, WAITS, EVENTS, PRODUCTS,
    TF32_PRODUCTS, UPLOADED_BYTES, DOWNLOADED_BYTES, COUNTERS,
};

struct Dim3 { unsigned x, y, z; };

struct Kernel {
    char name[256];
    void (*call)(void** arguments);     // one thread
    bool has_barrier;
    char* shared;                       // the __shared__ variables of its module
    size_t shared_bytes;
    size_t dynamic_limit;
};

// ---- state.cpp
bool computes();                                // false: launches and copies do nothing
void count(Counter counter, int64_t by);
void note(const char* format, ...);             // a line of the record, if one is made
int status();                                   // the error that all calls return from now on, or 0
int keep_error(int error);                      // -> error, which cudaGetLastError returns too
void fail_later(int error);                     // at the next wait, as an error of a kernel does
int wait_for_device();                          // -> the error of an earlier kernel, or 0
int ask_device();                               // the same, and no wait is counted
bool may_run(const char* name);                 // false: this kernel was to fail; see driver.fail
int unsupported(const char* function, int code);

// ---- memory.cpp
int allocate(void** pointer, size_t bytes);
int release(void* pointer);
bool on_device(const void* pointer, size_t bytes);
const char* overwritten();                      // what wrote beyond an allocation, or nullptr
size_t memory_free();
size_t memory_total();
int copy(void* to, const void* from, size_t bytes, int kind, bool at_once);

// ---- pinned.cpp
int allocate_pinned(void** pointer, size_t bytes);
int release_pinned(void* pointer);
bool is_pinned(const void* pointer);
// an upload of these `values`, or a download of them that reaches the host later
void transfer_late(void* host, const void* values, size_t bytes, bool is_download);
bool finish_transfers();                        // -> false: the host changed what was uploaded

// ---- threads.cpp
void run_kernel(const Kernel& kernel, Dim3 grid, Dim3 block, void** arguments);
