// What a .cu file finds on the host, where one thread of the CPU is every one of the GPU in turn.
// Where the text has a barrier, each has a stack of its own, and runs up to the next barrier; the
// thread sanitizer is told of them as of fibres, and that nothing but a barrier orders them. Where
// there is none, real threads share the work under a sanitizer.
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
// ---- the text
static const Kernel* find(const char* name)
{
    for (const Kernel& kernel : kernels)
        if (!strcmp(kernel.name, name))
            return &kernel;
    abort();
}

__attribute__((no_sanitize("thread")))
static void stand(unsigned blocks, unsigned block, unsigned b, unsigned t)
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
static ucontext_t before, *fibres;
static void *scheduler, **known;            // the same, as the thread sanitizer knows them
static int here, *done;
static char gates[2], end;                  // by turns: who comes to one barrier leaves another
static int turn;
static const Kernel* running;
static void** given;

UNSEEN static void __syncthreads()
{
    const int own = here;
    char* gate = &gates[turn];
    __tsan_release(gate);
    __tsan_switch_to_fiber(scheduler, UNORDERED);
    swapcontext(&fibres[own], &before);
    __tsan_acquire(gate);
}

UNSEEN static void fibre()
{
    const int own = here;
    running->call(given);
    __tsan_release(&end);
    done[own] = 1;
    __tsan_switch_to_fiber(scheduler, UNORDERED);
}

// every thread runs to its next barrier, then every one to the one after it
UNSEEN static int run_block(int blocks, int block, int b, int reverse, char* stacks)
{
    for (int t = 0; t < block; t++) {
        getcontext(&fibres[t]);
        fibres[t].uc_stack.ss_sp = stacks + STACK * t;
        fibres[t].uc_stack.ss_size = STACK;
        fibres[t].uc_link = &before;
        makecontext(&fibres[t], fibre, 0);
        known[t] = __tsan_create_fiber(0);
        done[t] = 0;
    }
    int ended = 0;
    for (turn = 0; !ended; turn = !turn) {
        for (int k = 0; k < block; k++) {
            here = reverse ? block - 1 - k : k;
            stand(blocks, block, b, here);
            __tsan_switch_to_fiber(known[here], UNORDERED);
            swapcontext(&before, &fibres[here]);
        }
        for (int t = 0; t < block; t++)
            ended += done[t];
    }
    __tsan_acquire(&end);
    for (int t = 0; t < block; t++)
        __tsan_destroy_fiber(known[t]);
    return ended < block;
}

UNSEEN static int run_all(const Kernel* kernel, int blocks, int block, int reverse, void** args)
{
    running = kernel;
    given = args;
    scheduler = __tsan_get_current_fiber();
    fibres = (ucontext_t*)malloc(sizeof(ucontext_t) * block);
    known = (void**)malloc(sizeof(void*) * block);
    done = (int*)malloc(sizeof(int) * block);
    char* stacks = (char*)malloc(STACK * block);
    int apart = 0;
    for (int k = 0; k < blocks && !apart; k++)
        apart = run_block(blocks, block, reverse ? blocks - 1 - k : k, reverse, stacks);
    free(fibres);
    free(known);
    free(done);
    free(stacks);
    return apart;
}

#elif defined PROGRAM

struct Share { const Kernel* kernel; int blocks, block, first; void** args; };
static const int WORKERS = 3;

// neighbours go to different workers: what two of them both write to is a race
static void* work(void* given)
{
    const Share* own = (Share*)given;
    for (long at = own->first; at < (long)own->blocks * own->block; at += WORKERS) {
        stand(own->blocks, own->block, at / own->block, at % own->block);
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
            stand(blocks, block, reverse ? blocks - 1 - k : k, reverse ? block - 1 - l : l);
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
        values[i] = malloc(sizes[i]);           // of the very size: one byte beyond is seen
        if (sizes[i] && fread(values[i], sizes[i], 1, file) != 1)
            abort();
        args[i] = flags[i] == 'p' ? (void*)&values[i] : values[i];
    }
    fclose(file);
    const int apart = run(argv[1], atoi(argv[2]), atoi(argv[3]), 0, args);
    file = fopen(argv[4], "wb");
    for (int i = 0; i < count; i++)
        if (flags[i] == 'p')
            fwrite(values[i], 1, sizes[i], file);
    fclose(file);
    return apart;
}
#endif
