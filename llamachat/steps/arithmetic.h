// Products of matrices with a few rows of activations, at the speed of memory. Knows numbers; no model.
//
// Matrices are read where torch keeps them, four rows at a time, and multiplied with up to four ids while they are at
// hand. Sums are taken in float32 (of exact int32 products, for weights of few bits), in an order that depends neither
// on the number of ids nor on that of threads. Vectors are those of GCC and clang, N floats wide, which they translate
// for AVX-512, AVX2, NEON or what there is; only the products of bytes need a word for each machine.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int N = 16;
#elif defined(__AVX2__)
constexpr int N = 8;
#else
constexpr int N = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * N)));
typedef int32_t Ints __attribute__((vector_size(4 * N)));
typedef uint32_t Words __attribute__((vector_size(4 * N)));
typedef int8_t Bytes __attribute__((vector_size(4 * N)));
typedef uint16_t Halves __attribute__((vector_size(2 * N)));

#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr int COLUMNS = 2;    // ids that share a read of weights; all sums and operands fit into 16 registers
#else
constexpr int COLUMNS = 4;    // … into 32
#endif
constexpr int ROWS = 4;       // rows of weights that are read at a time
constexpr int64_t L1 = 1 << 15, L2 = 1 << 18;  // bytes of the caches that may be filled
constexpr int GROUP = 64;     // activations that share a scale where they are multiplied as int8

template <class V> V load(const void* from) {
    V v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <class V> void store(void* to, V v) { std::memcpy(to, &v, sizeof v); }

float sum(Floats v) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)v);
#else
    float s[N];
    store(s, v);
    for (int width = N / 2; width; width /= 2)
        for (int i = 0; i < width; i++) s[i] += s[i + width];
    return s[0];
#endif
}

Floats all(float x) { return x - Floats{}; }

// e to the x, off by at most 2 in the last bit: 2^n times a polynomial of what is left, |r| ≤ ln 2 / 2.
Floats exp(Floats x) {
    x = x < -87.f ? all(-87.f) : x > 88.f ? all(88.f) : x;
    Floats n = x * 1.44269504f + 12582912.f;  // 1.5 · 2^23: what is below one falls off
    n -= 12582912.f;
    Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
    Floats p = all(1.9875691500e-4f);
    for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        p = p * r + c;
    p = p * r * r + r + 1.f;
    Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
    return p * load<Floats>(&power);
}

// ---- numbers as they are stored

enum Kind : int32_t { FLOAT32, BFLOAT16, INT8 };

float widen(uint16_t b) {
    uint32_t bits = uint32_t(b) << 16;
    return load<float>(&bits);
}

uint16_t narrow(float x) {  // to the nearest bfloat16, ties to even
    uint32_t bits = load<uint32_t>(&x);
    return std::isnan(x) ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// ---- activations, ready to be multiplied: T rows of `padded` columns, zeros at the end

template <class T> struct Lines {  // memory that begins with a cache line: no load crosses into the next, 10 % faster
    typedef T value_type;
    Lines() = default;
    template <class U> Lines(const Lines<U>&) {}
    T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
    void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t(64)); }
    bool operator==(const Lines&) const { return true; }
    bool operator!=(const Lines&) const { return false; }
};

struct Activations {
    int64_t padded = 0;
    std::vector<float, Lines<float>> floats;   // BFLOAT16 wants, of each 2N, those with even numbers first
    std::vector<int8_t, Lines<int8_t>> bytes;  // INT8 wants round(x / scale), and the scale of each group
    std::vector<float> scales;
    std::vector<int32_t> offset;  // what unsigned weights add too much, by lane

    void take(const float* x, int64_t T, int64_t columns, Kind kind) {
        padded = (columns + 127) / 128 * 128;
        floats.resize(T * padded);
        for (int64_t t = 0; t < T; t++, x += columns) {
            float* to = &floats[t * padded];
            int64_t i = 0;
            if (kind == BFLOAT16)
                for (; i + 2 * N <= columns; i += 2 * N)
                    for (int j = 0; j < N; j++) to[i + j] = x[i + 2 * j], to[i + N + j] = x[i + 2 * j + 1];
            std::fill(to + i, to + padded, 0.f);
            for (int64_t j = i; j < columns; j++) to[kind == BFLOAT16 ? i + j % 2 * N + (j - i) / 2 : j] = x[j];
        }
        if (kind == INT8) quantise(T);
    }

    void quantise(int64_t T) {
        bytes.resize(T * padded);
        scales.resize(T * padded / GROUP);
        offset.resize(T * padded / 4);
        for (size_t g = 0; g < scales.size(); g++) {
            const float* x = &floats[g * GROUP];
            float largest = 0;
            for (int i = 0; i < GROUP; i++) largest = std::max(largest, std::fabs(x[i]));
            scales[g] = largest / 127;
            float inverse = largest > 0 ? 127 / largest : 0;
            for (int i = 0; i < GROUP; i++) bytes[g * GROUP + i] = int8_t(std::nearbyint(x[i] * inverse));
        }
        for (size_t i = 0; i < offset.size(); i++) {
            const int8_t* b = &bytes[4 * i];
            offset[i] = -128 * (b[0] + b[1] + b[2] + b[3]);
        }
    }
};

// Sums of four products each of signed bytes, exact. `offset` is for machines that multiply unsigned weights only.
Ints dot(Bytes w, Bytes a, Ints offset) {
#if defined(__AVX512VNNI__) && defined(__AVX512F__)
    return (Ints)_mm512_dpbusd_epi32((__m512i)offset, (__m512i)(w ^ int8_t(-128)), (__m512i)a);
#elif defined(__AVX512BW__)
    __m512i even = _mm512_madd_epi16(_mm512_srai_epi16(_mm512_slli_epi16((__m512i)w, 8), 8),
                                     _mm512_srai_epi16(_mm512_slli_epi16((__m512i)a, 8), 8));
    __m512i odd = _mm512_madd_epi16(_mm512_srai_epi16((__m512i)w, 8), _mm512_srai_epi16((__m512i)a, 8));
    return (Ints)_mm512_add_epi32(even, odd);
#elif defined(__AVX2__)
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), _mm256_sign_epi8((__m256i)a, (__m256i)w));
    return (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#elif defined(__ARM_FEATURE_DOTPROD)
    return (Ints)vdotq_s32(vdupq_n_s32(0), (int8x16_t)w, (int8x16_t)a);
#else
    Ints s{};
    for (int i = 0; i < N; i++)
        for (int j = 4 * i; j < 4 * i + 4; j++) s[i] += int32_t(w[j]) * a[j];
    return s;
#endif
}

// ---- a kind of weights: `columns` of them in `bytes`, how they are read, and how multiplied with those of one id

struct Wide {  // two vectors of floats
    static constexpr int columns = 2 * N;
    struct Part { Floats a, b; };
    static void add(Floats& sums, const Part& w, const Activations& x, int64_t t, int64_t at) {
        const float* v = &x.floats[t * x.padded + at];
        sums += w.a * load<Floats>(v);
        sums += w.b * load<Floats>(v + N);
    }
};

struct Float32 : Wide {
    static constexpr int bytes = 8 * N;
    static Part read(const uint8_t* w) { return {load<Floats>(w), load<Floats>(w + 4 * N)}; }
    static float one(const uint8_t* from, int64_t i) { return load<float>(from + 4 * i); }
    static Floats some(const uint8_t* from, int64_t i) { return load<Floats>(from + 4 * i); }
};

struct BFloat16 : Wide {
    static constexpr int bytes = 4 * N;
    static Part read(const uint8_t* w) {
        Words pairs = load<Words>(w), even = pairs << 16, odd = pairs & 0xffff0000u;
        return {load<Floats>(&even), load<Floats>(&odd)};
    }
    static float one(const uint8_t* from, int64_t i) { return widen(load<uint16_t>(from + 2 * i)); }
    static Floats some(const uint8_t* from, int64_t i) {
        Words wide = __builtin_convertvector(load<Halves>(from + 2 * i), Words) << 16;
        return load<Floats>(&wide);
    }
};

struct Int8 {
    static constexpr int columns = 4 * N, bytes = 4 * N;
    struct Part { Bytes w; };
    static Part read(const uint8_t* w) { return {load<Bytes>(w)}; }
    static void add(Floats& sums, const Part& w, const Activations& x, int64_t t, int64_t at) {
        int64_t i = t * x.padded + at;
        Ints products = dot(w.w, load<Bytes>(&x.bytes[i]), load<Ints>(&x.offset[i / 4]));
        sums += __builtin_convertvector(products, Floats) * x.scales[i / GROUP];
    }
};

struct Matrix {  // (rows, columns), in rows without gaps; INT8 is multiplied by each row's scale
    const uint8_t* data;
    const float* scale;
    int64_t rows, columns;
    Kind kind;
};

// Rows r to r + R of m times the ids t to t + C of x; y as below.
template <class W, int R, int C>
void tile(const Matrix& m, const Activations& x, int64_t r, int64_t t, float* y, int64_t wide, bool add) {
    int64_t stride = m.columns * W::bytes / W::columns, at = 0;
    const uint8_t* w = m.data + r * stride;
    Floats sums[R][C]{};
    for (; at + W::columns <= m.columns; at += W::columns, w += W::bytes)
        for (int i = 0; i < R; i++) {
            __builtin_prefetch(w + (R + i) * stride);  // the next rows: 10 % faster, since a row is a page or two
            auto part = W::read(w + i * stride);
            for (int c = 0; c < C; c++) W::add(sums[i][c], part, x, t + c, at);
        }
    if (at < m.columns)
        for (int i = 0; i < R; i++) {
            uint8_t rest[W::bytes] = {};
            std::memcpy(rest, w + i * stride, (m.columns - at) * W::bytes / W::columns);
            auto part = W::read(rest);
            for (int c = 0; c < C; c++) W::add(sums[i][c], part, x, t + c, at);
        }
    for (int i = 0; i < R; i++)
        for (int c = 0; c < C; c++) {
            float product = sum(sums[i][c]) * (m.scale ? m.scale[r + i] : 1.f), &here = y[(t + c) * wide + r + i];
            here = add ? here + product : product;
        }
}

int64_t blocked(int64_t wanted, int64_t step) { return std::max(wanted / step * step, step); }

// Blocks of ids that stay in the L1 cache pass over blocks of rows that stay in L2.
template <class W>
void multiply(const Matrix& m, const Activations& x, int T, int64_t from, int64_t to, float* y, int64_t wide,
              bool add) {
    int64_t few = blocked(L2 / (m.columns * W::bytes / W::columns), ROWS), ids = blocked(L1 / (4 * x.padded), COLUMNS);
    for (int64_t block = from; block < to; block += few)
        for (int64_t first = 0; first < T; first += ids) {
            int64_t end = std::min(to, block + few), last = std::min(int64_t(T), first + ids), r = block;
            for (; r + ROWS <= end; r += ROWS) {
                int64_t t = first;
                for (; t + COLUMNS <= last; t += COLUMNS) tile<W, ROWS, COLUMNS>(m, x, r, t, y, wide, add);
                for (; t + 2 <= last; t += 2) tile<W, ROWS, 2>(m, x, r, t, y, wide, add);
                if (t < last) tile<W, ROWS, 1>(m, x, r, t, y, wide, add);
            }
            for (; r < end; r++)
                for (int64_t t = first; t < last; t++) tile<W, 1, 1>(m, x, r, t, y, wide, add);
        }
}

// y (T, wide) = or += rows `from` to `to` of m, times x.
void multiply(const Matrix& m, const Activations& x, int T, int64_t from, int64_t to, float* y, int64_t wide,
              bool add = false) {
    switch (m.kind) {
        case FLOAT32: return multiply<Float32>(m, x, T, from, to, y, wide, add);
        case BFLOAT16: return multiply<BFloat16>(m, x, T, from, to, y, wide, add);
        default: return multiply<Int8>(m, x, T, from, to, y, wide, add);
    }
}

}  // namespace
