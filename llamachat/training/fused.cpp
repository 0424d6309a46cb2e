// The parts of a Transformer block between its matrix products, forward and backward, for one core. Knows numbers only.
//
// bfloat16 in memory, or float32 (-DFLOAT32); float32 in registers. The products themselves stay with torch, whose
// oneDNN uses AMX; what lies between them took three quarters of a training step when torch did it one by one.
// Letters: B batch, T positions, H query heads, K key/value heads, E head width, D model width, F hidden width, N = B T.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512F__
constexpr int W = 16;  // lanes of a register
#else
constexpr int W = 8;
#endif
constexpr int ROWS = 8;  // query rows that share each load of keys
typedef float floats __attribute__((vector_size(4 * W), aligned(4)));
typedef int32_t whole __attribute__((vector_size(4 * W)));

#ifdef FLOAT32
typedef float stored;

static inline float wide(stored x) { return x; }
static inline stored narrow(float x) { return x; }
static inline floats load(const stored* p) { return *(const floats*)p; }
static inline void store(stored* p, floats x) { *(floats*)p = x; }
#else
typedef uint16_t stored;
typedef uint32_t bits32 __attribute__((vector_size(4 * W), aligned(4)));
typedef uint16_t bits16 __attribute__((vector_size(2 * W), aligned(2)));

static inline float wide(stored x) {
  uint32_t bits = uint32_t(x) << 16;
  float y;
  memcpy(&y, &bits, 4);
  return y;
}

static inline stored narrow(float x) {  // round to nearest even; no NaN comes here
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return stored((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static inline floats load(const stored* p) {
  bits32 bits = __builtin_convertvector(*(const bits16*)p, bits32) << 16;
  return (floats)bits;
}

static inline void store(stored* p, floats x) {
  bits32 bits = (bits32)x;
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  *(bits16*)p = __builtin_convertvector(bits, bits16);
}
#endif

static inline float sum(floats x) {
  float s = 0;
  for (int i = 0; i < W; i++) s += x[i];
  return s;
}

static inline floats exps(floats x) {  // e^x = 2^n 2^f, f in [-1/2, 1/2]; Taylor to f^5: relative error below 3e-6
  floats t = x * 1.44269504f;
  t = t < -126.f ? -126.f - floats{} : t;
  t = t > 126.f ? 126.f - floats{} : t;
  floats n;
  for (int i = 0; i < W; i++) n[i] = nearbyintf(t[i]);
  floats f = (t - n) * 0.69314718f;
  floats p = 1.f + f * (1.f + f * (0.5f + f * (1 / 6.f + f * (1 / 24.f + f * (1 / 120.f)))));
  whole e = (__builtin_convertvector(n, whole) + 127) << 23;
  return t > -126.f ? p * (floats)e : floats{};  // no 2^-126: products with it are subnormal, 100 times as slow
}

extern "C" {

// y = x / rms(x) * w; rstd (N) is kept for the way back.
void norm_forward(const stored* x, const stored* w, stored* y, float* rstd, long N, long D, float eps) {
  for (long n = 0; n < N; n++, x += D, y += D) {
    floats s = {};
    for (long d = 0; d < D; d += W) { floats v = load(x + d); s += v * v; }
    float r = rstd[n] = 1 / sqrtf(sum(s) / D + eps);
    for (long d = 0; d < D; d += W) store(y + d, load(x + d) * r * load(w + d));
  }
}

// dx = beside + r (w dy - x r^2 <x, w dy> / D), where beside is the gradient that passes the block; dw (D) is added to.
void norm_backward(const stored* dy, const stored* x, const stored* w, const float* rstd, const stored* beside,
                   stored* dx, float* dw, long N, long D) {
  for (long n = 0; n < N; n++, x += D, dy += D, dx += D, beside += D) {
    floats s = {};
    float r = rstd[n];
    for (long d = 0; d < D; d += W) s += load(dy + d) * load(w + d) * load(x + d);
    float c = sum(s) * r * r / D;
    for (long d = 0; d < D; d += W) {
      floats v = load(x + d), g = load(dy + d);
      *(floats*)(dw + d) += g * v * r;
      store(dx + d, load(beside + d) + r * (load(w + d) * g - v * c));
    }
  }
}

// y = silu(a) b for rows [a b] of 2 F.
void swiglu_forward(const stored* ab, stored* y, long N, long F) {
  for (long n = 0; n < N; n++, ab += 2 * F, y += F)
    for (long f = 0; f < F; f += W) {
      floats a = load(ab + f);
      store(y + f, a / (1.f + exps(-a)) * load(ab + F + f));
    }
}

// d[a b] from dy; the activation y is made again for the weights' gradient, so that it need not be kept.
void swiglu_backward(const stored* dy, const stored* ab, stored* dab, stored* y, long N, long F) {
  for (long n = 0; n < N; n++, ab += 2 * F, dab += 2 * F, y += F, dy += F)
    for (long f = 0; f < F; f += W) {
      floats a = load(ab + f), b = load(ab + F + f), g = load(dy + f);
      floats s = 1.f / (1.f + exps(-a)), silu = a * s;
      store(y + f, silu * b);
      store(dab + f, g * b * (s + silu * (1.f - s)));
      store(dab + F + f, g * silu);
    }
}

}  // extern "C"

// One head of T rows in float32, padded to a multiple of W rows: rotated, and its transpose for products with keys.
struct Head {
  long T, P;  // P: T padded
  std::vector<float> rows, turned;
  Head(long T, int E) : T(T), P((T + 2 * W - 1) / W * W + W), rows(P * E), turned(P * E) {}
};

static void read(Head& h, int E, const stored* x, long stride, const float* cosines, const float* sines, bool turn) {
  for (long t = 0; t < h.T; t++, x += stride) {
    float* y = h.rows.data() + t * E;
    for (int e = 0; e < E; e += 2) {
      float a = wide(x[e]), b = wide(x[e + 1]);
      float c = cosines ? cosines[t * E / 2 + e / 2] : 1, s = cosines ? sines[t * E / 2 + e / 2] : 0;
      y[e] = a * c - b * s;
      y[e + 1] = a * s + b * c;
    }
    if (turn)
      for (int e = 0; e < E; e++) h.turned[e * h.P + t] = y[e];
  }
}

static void write(const float* rows, long T, int E, stored* y, long stride, const float* cosines, const float* sines) {
  for (long t = 0; t < T; t++, y += stride, rows += E)
    for (int e = 0; e < E; e += 2) {  // the inverse rotation
      float c = cosines ? cosines[t * E / 2 + e / 2] : 1, s = cosines ? sines[t * E / 2 + e / 2] : 0;
      y[e] = narrow(rows[e] * c + rows[e + 1] * s);
      y[e + 1] = narrow(rows[e + 1] * c - rows[e] * s);
    }
}

// s (ROWS, P) = scale * q (ROWS, E) k^T for the first n keys, n a multiple of W.
static inline void scores(const float* q, int E, const float* turned, long P, long n, float scale, float* s) {
  for (long j = 0; j < n; j += W) {
    floats a[ROWS] = {};
    for (int e = 0; e < E; e++) {
      floats k = *(const floats*)(turned + e * P + j);
      for (int r = 0; r < ROWS; r++) a[r] += q[r * E + e] * k;
    }
    for (int r = 0; r < ROWS; r++) *(floats*)(s + r * P + j) = a[r] * scale;
  }
}

// o (ROWS, E) = s (ROWS, n) v (n, E)
template <int E>
static inline void weigh(const float* s, long P, long n, const float* v, float* o) {
  constexpr int C = E / W;
  floats a[ROWS][C] = {};
  for (long j = 0; j < n; j++)
    for (int c = 0; c < C; c++) {
      floats x = *(const floats*)(v + j * E + c * W);
      for (int r = 0; r < ROWS; r++) a[r][c] += s[r * P + j] * x;
    }
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < C; c++) *(floats*)(o + r * E + c * W) = a[r][c];
}

// o (n, E) += s^T (n, ROWS) q (ROWS, E)
template <int E>
static inline void spread(const float* s, long P, long n, const float* q, float* o) {
  constexpr int C = E / W;
  for (int c = 0; c < C; c++) {
    floats x[ROWS];
    for (int r = 0; r < ROWS; r++) x[r] = *(const floats*)(q + r * E + c * W);
    for (long j = 0; j < n; j++) {
      floats y = *(floats*)(o + j * E + c * W);
      for (int r = 0; r < ROWS; r++) y += s[r * P + j] * x[r];
      *(floats*)(o + j * E + c * W) = y;
    }
  }
}

static inline void mask(float* s, long P, long first, long n, float with) {  // row r sees keys up to first + r
  for (int r = 0; r < ROWS; r++)
    for (long j = first + r + 1; j < n; j++) s[r * P + j] = with;
}

static inline long padded(long n) { return (n + W - 1) / W * W; }

template <int E>
static void forward(const stored* qkv, stored* out, float* lse, const float* cosines, const float* sines, long B,
                    long T, int H, int K) {
  long stride = (H + 2 * K) * E;
  float scale = 1 / sqrtf(E);
  Head q(T, E), k(T, E), v(T, E);
  std::vector<float> s(ROWS * q.P), o(q.P * E);
  for (long b = 0; b < B; b++)
    for (int g = 0; g < K; g++) {
      const stored* x = qkv + b * T * stride;
      read(k, E, x + (H + g) * E, stride, cosines, sines, true);
      read(v, E, x + (H + K + g) * E, stride, nullptr, nullptr, false);
      for (int h = g * (H / K); h < (g + 1) * (H / K); h++) {
        read(q, E, x + h * E, stride, cosines, sines, false);
        for (long i = 0; i < T; i += ROWS) {
          long n = padded(i + ROWS);
          scores(&q.rows[i * E], E, k.turned.data(), k.P, n, scale, s.data());
          mask(s.data(), k.P, i, n, -1e30f);
          float inverse[ROWS];
          for (int r = 0; r < ROWS; r++) {
            float* row = &s[r * k.P];
            floats m = *(floats*)row;
            for (long j = W; j < n; j += W) {
              floats x = *(floats*)(row + j);
              m = m > x ? m : x;
            }
            float top = m[0];
            for (int l = 1; l < W; l++) top = top > m[l] ? top : m[l];
            floats total = {};
            for (long j = 0; j < n; j += W) {
              floats p = exps(*(floats*)(row + j) - top);
              *(floats*)(row + j) = p;
              total += p;
            }
            float t = sum(total);
            inverse[r] = 1 / t;
            if (i + r < T) lse[(b * H + h) * T + i + r] = top + logf(t);
          }
          weigh<E>(s.data(), k.P, n, v.rows.data(), &o[i * E]);
          for (int r = 0; r < ROWS; r++)
            for (int e = 0; e < E; e++) o[(i + r) * E + e] *= inverse[r];
        }
        write(o.data(), T, E, out + b * T * H * E + h * E, H * E, nullptr, nullptr);
      }
    }
}

template <int E>
static void backward(const stored* dout, const stored* out, const stored* qkv, const float* lse, stored* dqkv,
                     const float* cosines, const float* sines, long B, long T, int H, int K) {
  long stride = (H + 2 * K) * E;
  float scale = 1 / sqrtf(E);
  Head q(T, E), k(T, E), v(T, E), d(T, E), y(T, E);
  std::vector<float> s(ROWS * q.P), ds(ROWS * q.P), dq(q.P * E), dk(q.P * E), dv(q.P * E);
  for (long b = 0; b < B; b++)
    for (int g = 0; g < K; g++) {
      const stored* x = qkv + b * T * stride;
      stored* dx = dqkv + b * T * stride;
      read(k, E, x + (H + g) * E, stride, cosines, sines, true);
      read(v, E, x + (H + K + g) * E, stride, nullptr, nullptr, true);
      std::fill(dk.begin(), dk.end(), 0.f);
      std::fill(dv.begin(), dv.end(), 0.f);
      for (int h = g * (H / K); h < (g + 1) * (H / K); h++) {
        read(q, E, x + h * E, stride, cosines, sines, false);
        read(d, E, dout + b * T * H * E + h * E, H * E, nullptr, nullptr, false);
        read(y, E, out + b * T * H * E + h * E, H * E, nullptr, nullptr, false);
        for (long i = 0; i < T; i += ROWS) {
          long n = padded(i + ROWS);
          scores(&q.rows[i * E], E, k.turned.data(), k.P, n, scale, s.data());
          scores(&d.rows[i * E], E, v.turned.data(), v.P, n, 1, ds.data());
          mask(s.data(), k.P, i, n, -1e30f);
          for (int r = 0; r < ROWS; r++) {
            float delta = 0, l = i + r < T ? lse[(b * H + h) * T + i + r] : 1e30f;
            for (int e = 0; e < E; e++) delta += d.rows[(i + r) * E + e] * y.rows[(i + r) * E + e];
            float *row = &s[r * k.P], *drow = &ds[r * k.P];
            for (long j = 0; j < n; j += W) {
              floats p = exps(*(floats*)(row + j) - l);
              *(floats*)(row + j) = p;
              *(floats*)(drow + j) = p * (*(floats*)(drow + j) - delta) * scale;
            }
          }
          weigh<E>(ds.data(), k.P, n, k.rows.data(), &dq[i * E]);
          spread<E>(ds.data(), k.P, n, &q.rows[i * E], dk.data());
          spread<E>(s.data(), k.P, n, &d.rows[i * E], dv.data());
        }
        write(dq.data(), T, E, dx + h * E, stride, cosines, sines);
      }
      write(dk.data(), T, E, dx + (H + g) * E, stride, cosines, sines);
      write(dv.data(), T, E, dx + (H + K + g) * E, stride, nullptr, nullptr);
    }
}

extern "C" {

// Causal attention with rotary positions: qkv (B, T, (H + 2 K) E) to out (B, T, H E); lse (B, H, T) is kept.
// cosines, sines: (T, E/2) float32. Returns 0, or 1 for a head width that was not compiled.
int attention_forward(const stored* qkv, stored* out, float* lse, const float* cosines, const float* sines, long B,
                      long T, long H, long K, long E) {
  switch (E) {
    case 16: forward<16>(qkv, out, lse, cosines, sines, B, T, H, K); return 0;
    case 32: forward<32>(qkv, out, lse, cosines, sines, B, T, H, K); return 0;
    case 48: forward<48>(qkv, out, lse, cosines, sines, B, T, H, K); return 0;
    case 64: forward<64>(qkv, out, lse, cosines, sines, B, T, H, K); return 0;
  }
  return 1;
}

int attention_backward(const stored* dout, const stored* out, const stored* qkv, const float* lse, stored* dqkv,
                       const float* cosines, const float* sines, long B, long T, long H, long K, long E) {
  switch (E) {
    case 16: backward<16>(dout, out, qkv, lse, dqkv, cosines, sines, B, T, H, K); return 0;
    case 32: backward<32>(dout, out, qkv, lse, dqkv, cosines, sines, B, T, H, K); return 0;
    case 48: backward<48>(dout, out, qkv, lse, dqkv, cosines, sines, B, T, H, K); return 0;
    case 64: backward<64>(dout, out, qkv, lse, dqkv, cosines, sines, B, T, H, K); return 0;
  }
  return 1;
}

}  // extern "C"
