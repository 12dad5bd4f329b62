// In place of CuPy's complex numbers, which need thrust. Kernels name the type; ours use none.
#pragma once
#include <cuda_kernel.h>

template<class T> struct complex {
    typedef T value_type;
    T re, im;
    complex(T re = 0, T im = 0) : re(re), im(im) {}
    T real() const { return re; }
    T imag() const { return im; }
};

template<class T> T norm(const complex<T>& z) { return z.re * z.re + z.im * z.im; }
