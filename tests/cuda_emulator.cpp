// CUDA for the host: a .cu file is inserted below and compiled with this by g++. One CPU thread
// plays every GPU thread in turn.
//
// If the file has a barrier, every GPU thread is a fibre, with a stack of its own, that runs up to
// the next barrier. The thread sanitizer knows the fibres, and that only barriers order them.
// If it has none, then under the thread sanitizer real threads share the work.
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

struct Three { unsigned x, y, z; };
static thread_local Three threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __device__ static
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __ldg(p) (*(p))
template<class T> static T min(T a, T b) { return b < a ? b : a; }
template<class T> static T max(T a, T b) { return a < b ? b : a; }

struct Kernel { const char* name; void (*call)(void**); const char* flags; };
static void __syncthreads();
// ---- the .cu file
static const Kernel* find(const char* name)
{
    for (const Kernel& kernel : kernels)
        if (!strcmp(kernel.name, name))
            return &kernel;
    abort();
}

__attribute__((no_sanitize("thread")))
static void set_thread(unsigned blocks, unsigned block, unsigned b, unsigned t)
{
    gridDim = {blocks, 1, 1};
    blockDim = {block, 1, 1};
    blockIdx = {b, 0, 0};
    threadIdx = {t, 0, 0};
}


#ifdef HAS_BARRIER

#ifdef __SANITIZE_THREAD__
extern "C" void* __tsan_get_current_fiber();
extern "C" void* __tsan_create_fiber(unsigned);
extern "C" void __tsan_destroy_fiber(void*);
extern "C" void __tsan_switch_to_fiber(void*, unsigned);
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#else
static void* __tsan_get_current_fiber() { return nullptr; }
static void* __tsan_create_fiber(unsigned) { return nullptr; }
static void __tsan_destroy_fiber(void*) {}
static void __tsan_switch_to_fiber(void*, unsigned) {}
static void __tsan_acquire(void*) {}
static void __tsan_release(void*) {}
#endif
#define UNSEEN __attribute__((noinline, no_sanitize("thread")))

static const size_t STACK = 1 << 16;
static const unsigned UNORDERED = 1;        // a switch from fibre to fibre orders nothing
static ucontext_t scheduler_context, *fibres;
static void *scheduler, **sanitized;        // the same, as the thread sanitizer knows them
static int current, *done;
// two gates in turn: threads arrive at the barrier by one and leave the last one by the other
static char gates[2], end;
static int turn;
static const Kernel* running;
static void** running_args;

UNSEEN static void __syncthreads()
{
    const int own = current;
    char* gate = &gates[turn];
    __tsan_release(gate);
    __tsan_switch_to_fiber(scheduler, UNORDERED);
    swapcontext(&fibres[own], &scheduler_context);
    __tsan_acquire(gate);
}

UNSEEN static void fibre()
{
    const int own = current;
    running->call(running_args);
    __tsan_release(&end);
    done[own] = 1;
    __tsan_switch_to_fiber(scheduler, UNORDERED);
}

// Run every thread of a block to its next barrier, then every one to the barrier after it.
// -> whether some threads ended while others still wait at a barrier
UNSEEN static int run_block(int blocks, int block, int b, int reverse, char* stacks)
{
    for (int t = 0; t < block; t++) {
        getcontext(&fibres[t]);
        fibres[t].uc_stack.ss_sp = stacks + STACK * t;
        fibres[t].uc_stack.ss_size = STACK;
        fibres[t].uc_link = &scheduler_context;
        makecontext(&fibres[t], fibre, 0);
        sanitized[t] = __tsan_create_fiber(0);
        done[t] = 0;
    }
    int ended = 0;
    for (turn = 0; !ended; turn = !turn) {
        for (int k = 0; k < block; k++) {
            current = reverse ? block - 1 - k : k;
            set_thread(blocks, block, b, current);
            __tsan_switch_to_fiber(sanitized[current], UNORDERED);
            swapcontext(&scheduler_context, &fibres[current]);
        }
        for (int t = 0; t < block; t++)
            ended += done[t];
    }
    __tsan_acquire(&end);
    for (int t = 0; t < block; t++)
        __tsan_destroy_fiber(sanitized[t]);
    return ended < block;
}

UNSEEN static int run_all(const Kernel* kernel, int blocks, int block, int reverse, void** args)
{
    running = kernel;
    running_args = args;
    scheduler = __tsan_get_current_fiber();
    fibres = (ucontext_t*)malloc(sizeof(ucontext_t) * block);
    sanitized = (void**)malloc(sizeof(void*) * block);
    done = (int*)malloc(sizeof(int) * block);
    char* stacks = (char*)malloc(STACK * block);
    int stuck = 0;
    for (int k = 0; k < blocks && !stuck; k++)
        stuck = run_block(blocks, block, reverse ? blocks - 1 - k : k, reverse, stacks);
    free(fibres);
    free(sanitized);
    free(done);
    free(stacks);
    return stuck;
}

#elif defined PROGRAM

struct Share { const Kernel* kernel; int blocks, block, first; void** args; };
static const int WORKERS = 3;

// Neighbouring GPU threads go to different workers: if both write to one place, it is a race.
static void* work(void* share)
{
    const Share* own = (Share*)share;
    for (long at = own->first; at < (long)own->blocks * own->block; at += WORKERS) {
        set_thread(own->blocks, own->block, at / own->block, at % own->block);
        own->kernel->call(own->args);
    }
    return nullptr;
}

static int run_all(const Kernel* kernel, int blocks, int block, int, void** args)
{
    pthread_t threads[WORKERS];
    Share shares[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        shares[i] = {kernel, blocks, block, i, args};
        if (pthread_create(&threads[i], nullptr, work, &shares[i]))
            abort();
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], nullptr);
    return 0;
}

#else

static int run_all(const Kernel* kernel, int blocks, int block, int reverse, void** args)
{
    for (int k = 0; k < blocks; k++)
        for (int l = 0; l < block; l++) {
            set_thread(blocks, block, reverse ? blocks - 1 - k : k, reverse ? block - 1 - l : l);
            kernel->call(args);
        }
    return 0;
}

#endif

extern "C" int run(const char* name, int blocks, int block, int reverse, void** args)
{
    return run_all(find(name), blocks, block, reverse, args);
}

#ifdef PROGRAM
int main(int, char** argv)
{
    const char* flags = find(argv[1])->flags;
    const int count = strlen(flags);
    long* sizes = (long*)malloc(sizeof(long) * count);
    void** values = (void**)malloc(sizeof(void*) * count);
    void** args = (void**)malloc(sizeof(void*) * count);
    FILE* file = fopen(argv[4], "rb");
    for (int i = 0; i < count; i++) {
        if (fread(&sizes[i], sizeof(long), 1, file) != 1)
            abort();
        values[i] = malloc(sizes[i]);           // the exact size: one byte beyond is found
        if (sizes[i] && fread(values[i], sizes[i], 1, file) != 1)
            abort();
        args[i] = flags[i] == 'p' ? (void*)&values[i] : values[i];
    }
    fclose(file);
    const int stuck = run(argv[1], atoi(argv[2]), atoi(argv[3]), 0, args);
    file = fopen(argv[4], "wb");
    for (int i = 0; i < count; i++)
        if (flags[i] == 'p')
            fwrite(values[i], 1, sizes[i], file);
    fclose(file);
    return stuck;
}
#endif
