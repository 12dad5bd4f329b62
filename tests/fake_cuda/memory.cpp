// Device memory is host memory, of a limited size. New memory is filled with NaN, and behind each
// allocation lies a guard: what reads memory before writing it, or writes beyond its end, is found.
#include "state.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

static const size_t GUARD = 512;
static const unsigned char GUARD_BYTE = 0xA5;
static std::map<char*, size_t> allocations;     // where each begins, and its bytes
static size_t used;
static size_t limit = 8ull << 30;
static std::mutex mutex;

extern "C" void fake_cuda_memory(int64_t bytes) { limit = bytes; }

size_t memory_total() { return limit; }
size_t memory_free() { return used < limit ? limit - used : 0; }

int allocate(void** pointer, size_t bytes)
{
    if (status())
        return status();
    std::lock_guard<std::mutex> lock(mutex);
    *pointer = nullptr;
    if (bytes > memory_free())
        return keep_error(OUT_OF_MEMORY);
    const size_t rounded = (bytes + GUARD - 1) / GUARD * GUARD;
    char* start = (char*)aligned_alloc(GUARD, rounded + GUARD);
    if (!start)
        return keep_error(OUT_OF_MEMORY);
    if (computes())
        memset(start, 0xFF, bytes);             // NaN, whether float or double
    memset(start + bytes, GUARD_BYTE, rounded + GUARD - bytes);
    allocations[start] = bytes;
    used += bytes;
    count(ALLOCATIONS, 1);
    note("allocate %zu", bytes);
    *pointer = start;
    return SUCCESS;
}

// -> what was written behind this allocation; it is reported once
static const char* guard_error(char* start, size_t bytes)
{
    static char message[200];
    const size_t rounded = (bytes + GUARD - 1) / GUARD * GUARD;
    for (size_t i = bytes; i < rounded + GUARD; i++)
        if ((unsigned char)start[i] != GUARD_BYTE) {
            snprintf(message, sizeof message,
                     "something wrote %zu bytes behind an allocation of %zu", i - bytes, bytes);
            memset(start + bytes, GUARD_BYTE, rounded + GUARD - bytes);
            return message;
        }
    return nullptr;
}

const char* overwritten()
{
    std::lock_guard<std::mutex> lock(mutex);
    for (const auto& each : allocations)
        if (const char* message = guard_error(each.first, each.second))
            return message;
    return nullptr;
}

int release(void* pointer)
{
    if (!pointer)
        return status();
    std::lock_guard<std::mutex> lock(mutex);
    const auto found = allocations.find((char*)pointer);
    if (found == allocations.end())
        return keep_error(INVALID_VALUE);
    if (const char* message = guard_error(found->first, found->second)) {
        fprintf(stderr, "stand-in driver: %s\n", message);
        fail_later(ILLEGAL_ADDRESS);
    }
    used -= found->second;
    allocations.erase(found);
    free(pointer);
    return status();
}

bool on_device(const void* pointer, size_t bytes)
{
    std::lock_guard<std::mutex> lock(mutex);
    auto found = allocations.upper_bound((char*)pointer);
    if (found == allocations.begin())
        return false;
    --found;
    return (char*)pointer + bytes <= found->first + found->second;
}

int copy(void* to, const void* from, size_t bytes, int kind, bool at_once)
{
    enum { TO_HOST_FROM_HOST, UPLOAD, DOWNLOAD, ON_DEVICE, BY_ADDRESS };
    if (status())
        return status();
    if (kind == BY_ADDRESS)
        kind = 2 * on_device(from, bytes) + on_device(to, bytes);
    const bool from_device = kind == DOWNLOAD || kind == ON_DEVICE;
    const bool to_device = kind == UPLOAD || kind == ON_DEVICE;
    if (bytes && (from_device != on_device(from, bytes) || to_device != on_device(to, bytes)))
        return keep_error(INVALID_VALUE);
    if (kind == UPLOAD) {
        count(UPLOADS, 1);
        count(UPLOADED_BYTES, bytes);
        note("upload %zu", bytes);
    } else if (kind == DOWNLOAD) {
        count(DOWNLOADS, 1);
        count(DOWNLOADED_BYTES, bytes);
        note("download %zu", bytes);
    } else {
        count(DEVICE_COPIES, 1);
        note("copy %zu", bytes);
    }
    if (!computes())
        return SUCCESS;
    if (!at_once && kind == DOWNLOAD && is_pinned(to)) {
        transfer_late(to, from, bytes, true);
        return SUCCESS;
    }
    if (!at_once && kind == UPLOAD && is_pinned(from))
        transfer_late((void*)from, from, bytes, false);
    memmove(to, from, bytes);
    return SUCCESS;
}
