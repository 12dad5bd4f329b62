// Counters, the record of calls, errors, and kernels that are made to fail.
#include "state.h"
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <unistd.h>

static int64_t counters[COUNTERS];
static std::string record;
static bool recording;
static bool computing = true;
static int sticky;          // CUDA: after such an error a process can only end
static int pending;         // the error of a kernel, not yet reported
static int last_error;
static std::mutex mutex;

static struct {
    std::string kernel, action;
    int64_t after;          // so many launches of it run before
} failure;

bool computes() { return computing; }

void count(Counter counter, int64_t by)
{
    std::lock_guard<std::mutex> lock(mutex);
    counters[counter] += by;
}

void note(const char* format, ...)
{
    if (!recording)
        return;
    char line[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    std::lock_guard<std::mutex> lock(mutex);
    record += line;
    record += '\n';
}

int status() { return sticky; }

int keep_error(int error)
{
    if (error)
        last_error = error;
    return error;
}

void fail_later(int error)
{
    const char* blocking = getenv("CUDA_LAUNCH_BLOCKING");
    if (blocking && !strcmp(blocking, "1"))
        sticky = error;
    else if (!pending)
        pending = error;
}

int wait_for_device()
{
    count(WAITS, 1);
    return ask_device();
}

int ask_device()
{
    if (!finish_transfers()) {
        fprintf(stderr, "stand-in driver: pinned memory was changed before its upload ended\n");
        pending = ILLEGAL_ADDRESS;
    }
    if (!sticky && !pending)
        if (const char* what = overwritten()) {
            fprintf(stderr, "stand-in driver: %s\n", what);
            pending = ILLEGAL_ADDRESS;
        }
    if (pending) {
        sticky = pending;
        pending = 0;
    }
    return keep_error(sticky);
}

bool may_run(const char* name)
{
    if (pending || sticky)
        return false;                           // nothing runs behind a kernel that failed
    if (failure.kernel.empty() || !strstr(name, failure.kernel.c_str()) || failure.after-- > 0)
        return true;
    if (failure.action == "kill")
        raise(SIGKILL);
    if (failure.action == "hang")
        for (;;)
            pause();
    fail_later(ILLEGAL_ADDRESS);
    return false;
}

int unsupported(const char* function, int code)
{
    fprintf(stderr, "stand-in driver: %s is not supported\n", function);
    note("%s is not supported", function);
    return code;
}

// ---- For driver.py
extern "C" {

void fake_cuda_counts(int64_t* out)
{
    std::lock_guard<std::mutex> lock(mutex);
    memcpy(out, counters, sizeof counters);
}

void fake_cuda_record(int on)
{
    if (on)
        record.clear();
    recording = on;
}

const char* fake_cuda_recorded() { return record.c_str(); }

void fake_cuda_compute(int on) { computing = on; }

void fake_cuda_fail(const char* kernel, const char* action, int64_t after)
{
    failure = {kernel, action, after};
}

// a process cannot do this on a card: an error that stays ends with the process
void fake_cuda_reset()
{
    sticky = pending = last_error = 0;
    failure = {"", "", 0};
}

int cudaGetLastError()
{
    const int error = sticky ? sticky : last_error;
    last_error = 0;
    return error;
}

int cudaPeekAtLastError() { return sticky ? sticky : last_error; }

}
