// CUDA C for g++: what a kernel finds without including anything. threads.cpp runs the threads.
#pragma once
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <limits>
#include <type_traits>
#include <utility>

struct dim3 { unsigned x, y, z; };
typedef dim3 uint3;
extern "C" {
extern dim3 threadIdx, blockIdx, blockDim, gridDim;
void cuda_barrier();
uint64_t cuda_exchange(uint64_t value, unsigned lane);
unsigned cuda_lane();
}
static const int warpSize = 32;

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__
#define __shared__ static __attribute__((section("shared_memory")))
#define __launch_bounds__(...)
#define __restrict__
#define __ldg(pointer) (*(pointer))

inline void __syncthreads() { cuda_barrier(); }
inline void __syncwarp(unsigned = 0) { cuda_exchange(0, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- Shuffles

template<class T> T cuda_value_of_lane(T value, unsigned lane)
{
    static_assert(sizeof(T) <= 8, "a shuffle of a larger type");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = cuda_exchange(bits, lane);
    memcpy(&value, &bits, sizeof value);
    return value;
}

// the lane itself, where the other one is in another group of `width` lanes
inline unsigned cuda_lane_in_group(long lane, int width)
{
    const unsigned own = cuda_lane();
    return lane >= 0 && lane / width == own / width ? lane : own;
}

template<class T> T __shfl_sync(unsigned, T value, int lane, int width = 32)
{
    return cuda_value_of_lane(value, cuda_lane() / width * width + lane % width);
}

template<class T> T __shfl_up_sync(unsigned, T value, unsigned by, int width = 32)
{
    return cuda_value_of_lane(value, cuda_lane_in_group((long)cuda_lane() - by, width));
}

template<class T> T __shfl_down_sync(unsigned, T value, unsigned by, int width = 32)
{
    return cuda_value_of_lane(value, cuda_lane_in_group((long)cuda_lane() + by, width));
}

template<class T> T __shfl_xor_sync(unsigned, T value, int mask, int width = 32)
{
    return cuda_value_of_lane(value, cuda_lane_in_group(cuda_lane() ^ mask, width));
}

// ---- Atomics: only one thread runs at a time

template<class T, class U> T atomicAdd(T* at, U x) { T old = *at; *at = old + (T)x; return old; }
template<class T, class U> T atomicMax(T* at, U x) { T old = *at; if (x > old) *at = x; return old; }
template<class T, class U> T atomicMin(T* at, U x) { T old = *at; if (x < old) *at = x; return old; }
template<class T, class U> T atomicExch(T* at, U x) { T old = *at; *at = x; return old; }
template<class T> T atomicCAS(T* at, T from, T to)
{
    T old = *at;
    if (old == from)
        *at = to;
    return old;
}

// ---- Numbers

template<class A, class B> typename std::common_type<A, B>::type min(A a, B b)
{
    typedef typename std::common_type<A, B>::type T;
    return (T)b < (T)a ? (T)b : (T)a;
}

template<class A, class B> typename std::common_type<A, B>::type max(A a, B b)
{
    typedef typename std::common_type<A, B>::type T;
    return (T)a < (T)b ? (T)b : (T)a;
}

template<class To, class From> To cuda_same_bits(From x)
{
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}

inline int __float_as_int(float x) { return cuda_same_bits<int>(x); }
inline float __int_as_float(int x) { return cuda_same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return cuda_same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return cuda_same_bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }

// ---- Call one thread of a kernel with an array of pointers, one to each argument

template<class... A, size_t... I>
void cuda_unpack(void (*kernel)(A...), void** arguments, std::index_sequence<I...>)
{
    kernel(*(typename std::remove_reference<A>::type*)arguments[I]...);
}

template<class... A> void cuda_call(void (*kernel)(A...), void** arguments)
{
    cuda_unpack(kernel, arguments, std::index_sequence_for<A...>{});
}
