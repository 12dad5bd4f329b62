// Pinned host memory, which a GPU reads and writes whenever it comes to it. So what a download
// brings appears at the next wait, and what an upload takes must not change until then.
#include "state.h"
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

struct Transfer {
    char* host;
    std::vector<char> values;           // of the host when the upload began, or for the host
    bool is_download;
};
static std::map<char*, size_t> allocations;
static std::vector<Transfer> transfers;
static std::mutex mutex;

int allocate_pinned(void** pointer, size_t bytes)
{
    if (status())
        return status();
    std::lock_guard<std::mutex> lock(mutex);
    *pointer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!*pointer)
        return keep_error(OUT_OF_MEMORY);
    allocations[(char*)*pointer] = bytes;
    return SUCCESS;
}

int release_pinned(void* pointer)
{
    finish_transfers();
    std::lock_guard<std::mutex> lock(mutex);
    if (pointer && !allocations.erase((char*)pointer))
        return keep_error(INVALID_VALUE);
    free(pointer);
    return status();
}

bool is_pinned(const void* pointer)
{
    std::lock_guard<std::mutex> lock(mutex);
    auto found = allocations.upper_bound((char*)pointer);
    if (found == allocations.begin())
        return false;
    --found;
    return (char*)pointer < found->first + found->second;
}

void transfer_late(void* host, const void* values, size_t bytes, bool is_download)
{
    const char* first = (const char*)values;
    std::lock_guard<std::mutex> lock(mutex);
    transfers.push_back({(char*)host, std::vector<char>(first, first + bytes), is_download});
}

bool finish_transfers()
{
    std::lock_guard<std::mutex> lock(mutex);
    bool unchanged = true;
    for (const Transfer& each : transfers)
        if (each.is_download)
            memcpy(each.host, each.values.data(), each.values.size());
        else if (memcmp(each.host, each.values.data(), each.values.size()))
            unchanged = false;
    transfers.clear();
    return unchanged;
}
