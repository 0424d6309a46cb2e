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

constexpr int ROWS = 4;       // rows that are read at a time: as many streams of memory, and chains of sums
constexpr int COLUMNS = 4;    // ids that share a read of them: 16 sums fill half of AVX-512's registers
constexpr int GROUP = 64;     // activations that share a scale where they are multiplied as int8

template <class V> V load(const void* from) {
    V v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <class V> void store(void* to, V v) { std::memcpy(to, &v, sizeof v); }

float sum(Floats v) {
    float s[N];
    store(s, v);
    for (int width = N / 2; width; width /= 2)
        for (int i = 0; i < width; i++) s[i] += s[i + width];
    return s[0];
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

struct Activations {
    int64_t padded = 0;
    std::vector<float> floats;   // BFLOAT16 wants, of each 2N, those with even numbers first
    std::vector<int8_t> bytes;   // INT8 wants round(x / scale), and the scale of each group
    std::vector<float> scales;
    std::vector<int32_t> offset; // what unsigned weights add too much, by lane

    void take(const float* x, int64_t T, int64_t columns, Kind kind) {
        padded = (columns + 127) / 128 * 128;
        floats.assign(T * padded, 0.f);
        for (int64_t t = 0; t < T; t++) {
            const float* from = x + t * columns;
            float* to = &floats[t * padded];
            constexpr int64_t pairs = 2 * N;
            if (kind == BFLOAT16)
                for (int64_t i = 0; i < columns; i++) to[i / pairs * pairs + i % 2 * N + i % pairs / 2] = from[i];
            else
                std::copy_n(from, columns, to);
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
    struct Sums {
        Floats a{}, b{};
        float total() const { return sum(a + b); }
    };
    static void add(Sums& s, const Part& w, const Activations& x, int64_t t, int64_t at) {
        const float* v = &x.floats[t * x.padded + at];
        s.a += w.a * load<Floats>(v);
        s.b += w.b * load<Floats>(v + N);
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
    struct Sums {
        Floats a{};
        float total() const { return sum(a); }
    };
    static Part read(const uint8_t* w) { return {load<Bytes>(w)}; }
    static void add(Sums& s, const Part& w, const Activations& x, int64_t t, int64_t at) {
        int64_t i = t * x.padded + at;
        Ints products = dot(w.w, load<Bytes>(&x.bytes[i]), load<Ints>(&x.offset[i / 4]));
        s.a += __builtin_convertvector(products, Floats) * x.scales[i / GROUP];
    }
};

struct Matrix {  // (rows, columns), in rows without gaps; INT8 is multiplied by each row's scale
    const uint8_t* data;
    const float* scale;
    int64_t rows, columns;
    Kind kind;
};

typedef float Tile[ROWS][COLUMNS];

// Products of R rows, `stride` bytes apart, with C ids from the t-th on: out[r][c].
template <class W, int R, int C>
void tile(const uint8_t* w, int64_t stride, int64_t columns, const Activations& x, int64_t t, Tile& out) {
    typename W::Sums sums[R][C]{};
    int64_t at = 0;
    for (; at + W::columns <= columns; at += W::columns, w += W::bytes)
        for (int r = 0; r < R; r++) {
            __builtin_prefetch(w + (R + r) * stride);  // the next rows: 10 % faster, since a row is a page or two
            auto part = W::read(w + r * stride);
            for (int c = 0; c < C; c++) W::add(sums[r][c], part, x, t + c, at);
        }
    if (at < columns)
        for (int r = 0; r < R; r++) {
            uint8_t rest[W::bytes] = {};
            std::memcpy(rest, w + r * stride, (columns - at) * W::bytes / W::columns);
            auto part = W::read(rest);
            for (int c = 0; c < C; c++) W::add(sums[r][c], part, x, t + c, at);
        }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) out[r][c] = sums[r][c].total();
}

template <class W, int R>
void tile(int C, const uint8_t* w, int64_t stride, int64_t columns, const Activations& x, int64_t t, Tile& out) {
    switch (C) {
        case 1: return tile<W, R, 1>(w, stride, columns, x, t, out);
        case 2: return tile<W, R, 2>(w, stride, columns, x, t, out);
        case 3: return tile<W, R, 3>(w, stride, columns, x, t, out);
        default: return tile<W, R, 4>(w, stride, columns, x, t, out);
    }
}

template <class W>
void multiply(const Matrix& m, const Activations& x, int T, int64_t from, int64_t to, float* y, int64_t wide,
              bool add) {
    int64_t stride = m.columns * W::bytes / W::columns;
    Tile out;
    for (int64_t r = from; r < to;) {
        int R = to - r >= ROWS ? ROWS : 1;
        const uint8_t* w = m.data + r * stride;
        for (int t = 0; t < T; t += COLUMNS) {
            int C = std::min(COLUMNS, T - t);
            R == ROWS ? tile<W, ROWS>(C, w, stride, m.columns, x, t, out)
                      : tile<W, 1>(C, w, stride, m.columns, x, t, out);
            for (int i = 0; i < R; i++)
                for (int c = 0; c < C; c++) {
                    float product = m.scale ? out[i][c] * m.scale[r + i] : out[i][c];
                    float& here = y[(t + c) * wide + r + i];
                    here = add ? here + product : product;
                }
        }
        r += R;
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
