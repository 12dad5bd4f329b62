// One CPU thread plays every GPU thread in turn.
//
// In a kernel with barriers every GPU thread of a block is a fibre with a stack of its own. It runs
// until it waits: at __syncthreads for its block, at a shuffle for its warp. A thread that has ended
// is waited for no longer. On a GPU they run in any order; here from the first to the last, or with
// fake_cuda_reverse from the last to the first: a result that differs depends on the order.
#include "state.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sys/mman.h>

extern "C" { Dim3 threadIdx, blockIdx, blockDim, gridDim; }

static const unsigned LARGEST_BLOCK = 1024;
static const unsigned WARP = 32;
static const size_t STACK = 1 << 16;

enum State { READY, AT_BARRIER, IN_WARP, ENDED };
struct Fibre {
    void* stack_pointer;
    State state;
    unsigned exchanges;
};
static Fibre fibres[LARGEST_BLOCK];
static uint64_t exchanged[2][LARGEST_BLOCK];    // of this exchange, and of the one before
static unsigned current;
static void* scheduler;                         // its stack pointer
static const Kernel* running;
static void** running_arguments;
static bool reversed;

extern "C" void fake_cuda_reverse(int on) { reversed = on; }

// Push what a function must keep, store the stack pointer, go on from another one.
extern "C" void switch_stack(void** store, void* load);
__asm__(
    ".text\nswitch_stack:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n");

static void wait_as(State state)
{
    fibres[current].state = state;
    switch_stack(&fibres[current].stack_pointer, scheduler);
}

extern "C" void cuda_barrier() { wait_as(AT_BARRIER); }

// -> the value that thread `lane` of this warp gives
extern "C" uint64_t cuda_exchange(uint64_t value, unsigned lane)
{
    const unsigned own = current;
    const unsigned turn = fibres[own].exchanges++ % 2;
    exchanged[turn][own] = value;
    wait_as(IN_WARP);
    return exchanged[turn][own / WARP * WARP + lane % WARP];
}

extern "C" unsigned cuda_lane() { return current % WARP; }

static void fibre()
{
    running->call(running_arguments);
    wait_as(ENDED);
    abort();
}

static void prepare(unsigned t)
{
    static char* stacks = (char*)mmap(nullptr, STACK * LARGEST_BLOCK, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    // what switch_stack pops: six registers, then where to go; a called function finds the stack
    // 8 bytes off a multiple of 16
    void** top = (void**)(stacks + STACK * (t + 1)) - 2;
    top[0] = (void*)fibre;
    top[1] = nullptr;
    memset(top - 6, 0, 6 * sizeof(void*));
    fibres[t] = {top - 6, READY, 0};
}

static void set_thread(unsigned t)
{
    current = t;
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

// Make READY all threads of first … last that wait as `state`, if all that have not ended do.
static bool release_all(unsigned first, unsigned last, State state)
{
    bool any = false;
    for (unsigned t = first; t < last; t++) {
        if (fibres[t].state == ENDED)
            continue;
        if (fibres[t].state != state)
            return false;
        any = true;
    }
    for (unsigned t = first; any && t < last; t++)
        if (fibres[t].state == state)
            fibres[t].state = READY;
    return any;
}

static void run_block(unsigned threads)
{
    for (unsigned t = 0; t < threads; t++)
        prepare(t);
    for (bool goes_on = true; goes_on;) {
        for (unsigned k = 0; k < threads; k++) {
            const unsigned t = reversed ? threads - 1 - k : k;
            if (fibres[t].state == READY) {
                set_thread(t);
                switch_stack(&scheduler, fibres[t].stack_pointer);
            }
        }
        goes_on = release_all(0, threads, AT_BARRIER);
        for (unsigned first = 0; first < threads; first += WARP) {
            const unsigned last = first + WARP < threads ? first + WARP : threads;
            goes_on |= release_all(first, last, IN_WARP);
        }
    }
    for (unsigned t = 0; t < threads; t++)
        if (fibres[t].state != ENDED) {
            fprintf(stderr, "stand-in driver: threads of %s wait for each other\n", running->name);
            fail_later(ILLEGAL_ADDRESS);
            return;
        }
}

void run_kernel(const Kernel& kernel, Dim3 grid, Dim3 block, void** arguments)
{
    static std::mutex one_at_a_time;
    std::lock_guard<std::mutex> lock(one_at_a_time);
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    const unsigned threads = block.x * block.y * block.z;
    running = &kernel;
    running_arguments = arguments;
    gridDim = grid;
    blockDim = block;
    for (uint64_t k = 0; k < blocks; k++) {
        const uint64_t b = reversed ? blocks - 1 - k : k;
        blockIdx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y),
                    unsigned(b / grid.x / grid.y)};
        memset(kernel.shared, 0xFF, kernel.shared_bytes);
        if (kernel.has_barrier) {
            run_block(threads);
            continue;
        }
        for (unsigned l = 0; l < threads; l++) {
            set_thread(reversed ? threads - 1 - l : l);
            kernel.call(arguments);
        }
    }
}
