// A few ids through a Llama 3 model on a CPU, as llamachat/model.py says it. Knows memory and arithmetic; no files.
//
// Ids that are guessed and verified together come out bit for bit as one after the other, with any number of threads.
// Letters as in model.py: T ids, S positions, D model width, H query heads, K key/value heads, E head width, V words.

#include "arithmetic.h"
#include "sampling.h"
#include "team.h"

namespace {

struct Layer {
    Matrix wq, wk, wv, wo, w1, w2, w3;
    const float *attention_norm, *ffn_norm;
};

struct Model {
    int64_t D, H, K, E, ffn;
    float eps;
    Matrix embeddings, output;
    const float* norm;
    const float *cosines, *sines;  // (positions, E/2)
    const Layer* layers;
    int64_t n_layers;
};

struct Cache {  // (L, K, size, E) each, of float or bfloat16; `length` positions are valid
    uint8_t *keys, *values;
    Kind kind;
    int64_t size, length;
};

void normalise(const float* x, const float* weight, float eps, int64_t D, float* to) {
    Floats squares{};
    float rest = 0;
    int64_t i = 0;
    for (; i + N <= D; i += N) squares += load<Floats>(x + i) * load<Floats>(x + i);
    for (; i < D; i++) rest += x[i] * x[i];
    float scale = 1 / std::sqrt((sum(squares) + rest) / D + eps);
    for (i = 0; i < D; i++) to[i] = x[i] * scale * weight[i];
}

void rotate(float* head, const float* cosines, const float* sines, int64_t E) {
    for (int64_t i = 0; i < E / 2; i++) {
        float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cosines[i] - b * sines[i];
        head[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
}

void put(uint8_t* to, Kind kind, const float* head, int64_t E) {
    if (kind == FLOAT32) return void(std::memcpy(to, head, E * 4));
    for (int64_t i = 0; i < E; i++) reinterpret_cast<uint16_t*>(to)[i] = narrow(head[i]);
}

// weights (S): from the logits of one head to what each position counts, with a sum of 1.
void softmax(float* weights, int64_t S) {
    float largest = *std::max_element(weights, weights + S), total = 0;
    Floats totals{};
    int64_t s = 0;
    for (; s + N <= S; s += N) {
        Floats e = exp(load<Floats>(weights + s) - largest);
        store(weights + s, e);
        totals += e;
    }
    for (; s < S; s++) total += weights[s] = exp(all(weights[s] - largest))[0];
    total += sum(totals);
    for (s = 0; s < S; s++) weights[s] /= total;
}

// y (C, E) = weights (C, S) times values (S, E), for the columns from e on: B vectors of them.
template <class V, int B, int C>
void gather(const uint8_t* values, int64_t E, int64_t e, const float* weights, int64_t S, float* y) {
    Floats sums[C][B]{};
    for (int64_t s = 0; s < S; s++)
        for (int b = 0; b < B; b++) {
            Floats v = V::some(values, s * E + e + b * N);
            for (int c = 0; c < C; c++) sums[c][b] += v * weights[c * S + s];
        }
    for (int c = 0; c < C; c++)
        for (int b = 0; b < B; b++) store(y + c * E + e + b * N, sums[c][b]);
}

template <class V, int C> void gather(const uint8_t* values, int64_t E, const float* weights, int64_t S, float* y) {
    int64_t e = 0;
    for (; e + 2 * N <= E; e += 2 * N) gather<V, 2, C>(values, E, e, weights, S, y);
    for (; e + N <= E; e += N) gather<V, 1, C>(values, E, e, weights, S, y);
    for (; e < E; e++)
        for (int c = 0; c < C; c++) {
            float total = 0;
            for (int64_t s = 0; s < S; s++) total += V::one(values, s * E + e) * weights[c * S + s];
            y[c * E + e] = total;
        }
}

template <class V> void gather(int C, const uint8_t* values, int64_t E, const float* weights, int64_t S, float* y) {
    for (; C >= COLUMNS; C -= COLUMNS, weights += COLUMNS * S, y += COLUMNS * E)
        gather<V, COLUMNS>(values, E, weights, S, y);
    for (; C > 0; C--, weights += S, y += E) gather<V, 1>(values, E, weights, S, y);
}

struct Scratch {  // of one thread
    std::vector<float> rows, scores;
    Activations x;
};

struct Run {  // T ids on their way through the layers
    const Model& m;
    const Cache& cache;
    int T, threads;
    Barrier barrier{};
    std::vector<float> x, q, k, v, y, gate, up;  // (T, …)

    Run(const Model& m, const Cache& cache, int T, int threads)
        : m(m), cache(cache), T(T), threads(threads), x(T * m.D), q(T * m.H * m.E), k(T * m.K * m.E), v(k.size()),
          y(q.size()), gate(T * m.ffn), up(gate.size()) {}

    // What one thread of several does; all of them meet before they read what others wrote.
    void work(const int64_t* tokens, int number, float* out) {
        Scratch own;
        if (number == 0)
            for (int t = 0; t < T; t++) embed(tokens[t], &x[t * m.D]);
        barrier.meet(threads);
        for (int64_t l = 0; l < m.n_layers; l++) {
            const Layer& layer = m.layers[l];
            normalised(own, layer.attention_norm, layer.wq.kind);
            product(layer.wq, own, q, number);
            product(layer.wk, own, k, number);
            product(layer.wv, own, v, number);
            barrier.meet(threads);
            Share heads(m.K, number, threads, 1);
            for (int64_t head = heads.from; head < heads.to; head++) attend(l, head, own);
            barrier.meet(threads);
            own.x.take(y.data(), T, m.H * m.E, layer.wo.kind);
            product(layer.wo, own, x, number, true);
            barrier.meet(threads);
            normalised(own, layer.ffn_norm, layer.w1.kind);
            product(layer.w1, own, gate, number);
            product(layer.w3, own, up, number);
            swish(Share(m.ffn, number, threads));
            barrier.meet(threads);
            own.x.take(gate.data(), T, m.ffn, layer.w2.kind);
            product(layer.w2, own, x, number, true);
            barrier.meet(threads);
        }
        if (number == 0)
            for (int t = 0; t < T; t++) normalise(&x[t * m.D], m.norm, m.eps, m.D, out + t * m.D);
    }

    void embed(int64_t token, float* to) {
        const Matrix& table = m.embeddings;
        for (int64_t i = 0, at = token * m.D; i < m.D; i++, at++)
            if (table.kind == FLOAT32) to[i] = Float32::one(table.data, at);
            else if (table.kind == BFLOAT16) to[i] = BFloat16::one(table.data, at);
            else to[i] = load<int8_t>(table.data + at) * table.scale[token];
    }

    void normalised(Scratch& own, const float* weight, Kind kind) {
        own.rows.resize(T * m.D);
        for (int t = 0; t < T; t++) normalise(&x[t * m.D], weight, m.eps, m.D, &own.rows[t * m.D]);
        own.x.take(own.rows.data(), T, m.D, kind);
    }

    void product(const Matrix& w, const Scratch& own, std::vector<float>& to, int number, bool add = false) {
        Share rows(w.rows, number, threads);
        multiply(w, own.x, T, rows.from, rows.to, to.data(), w.rows, add);
    }

    // One key/value head and the G query heads that share it.
    void attend(int64_t layer, int64_t head, Scratch& own) {
        int64_t E = m.E, G = m.H / m.K, bytes = cache.kind == FLOAT32 ? 4 : 2;
        uint8_t* keys = cache.keys + (layer * m.K + head) * cache.size * E * bytes;
        uint8_t* values = cache.values + (layer * m.K + head) * cache.size * E * bytes;
        for (int t = 0; t < T; t++) {
            int64_t at = cache.length + t, S = at + 1;
            const float *cosines = m.cosines + at * (E / 2), *sines = m.sines + at * (E / 2);
            float *key = &k[(t * m.K + head) * E], *query = &q[(t * m.H + head * G) * E];
            rotate(key, cosines, sines, E);
            put(keys + at * E * bytes, cache.kind, key, E);
            put(values + at * E * bytes, cache.kind, &v[(t * m.K + head) * E], E);
            for (int64_t g = 0; g < G; g++) rotate(query + g * E, cosines, sines, E);
            for (int64_t i = 0; i < G * E; i++) query[i] /= std::sqrt(float(E));
            own.scores.resize(G * S);
            own.x.take(query, G, E, cache.kind);
            multiply({keys, nullptr, S, E, cache.kind}, own.x, G, 0, S, own.scores.data(), S);
            for (int64_t g = 0; g < G; g++) softmax(&own.scores[g * S], S);
            float* to = &y[(t * m.H + head * G) * E];
            cache.kind == FLOAT32 ? gather<Float32>(G, values, E, own.scores.data(), S, to)
                                  : gather<BFloat16>(G, values, E, own.scores.data(), S, to);
        }
    }

    void swish(Share columns) {  // gate = silu(gate) · up
        for (int t = 0; t < T; t++) {
            float *a = &gate[t * m.ffn], *b = &up[t * m.ffn];
            int64_t i = columns.from;
            for (; i + N <= columns.to; i += N) {
                Floats g = load<Floats>(a + i);
                store(a + i, g / (1.f + exp(-g)) * load<Floats>(b + i));
            }
            for (; i < columns.to; i++) a[i] = a[i] / (1.f + exp(all(-a[i]))[0]) * b[i];
        }
    }
};

}  // namespace

// Hidden states (T, D) of T ids behind what the cache holds; their keys and values are written there. The caller has
// seen to it that the ids are in the table, and that cache and rotation have room.
extern "C" void llamachat_hidden(const Model* m, const Cache* cache, const int64_t* tokens, int T, int threads,
                                 float* out) {
    Run run(*m, *cache, T, threads);
    team.run(threads, [&](int number) { run.work(tokens, number, out); });
}

// Logits (T, V) of hidden states (T, D).
extern "C" void llamachat_logits(const Model* m, const float* hidden, int T, int threads, float* logits) {
    Activations x;
    x.take(hidden, T, m->D, m->output.kind);
    team.run(threads, [&](int number) {
        Share words(m->output.rows, number, threads);
        multiply(m->output, x, T, words.from, words.to, logits, m->output.rows);
    });
}

// The next ids behind each of T ids, -1 if logits are not finite; `drawn` (T) are random numbers in [0, 1).
extern "C" void llamachat_step(const Model* m, const Cache* cache, const int64_t* tokens, int T, int threads,
                               const Settings* settings, const float* drawn, int32_t* chosen) {
    std::vector<float> hidden(T * m->D), logits(T * m->output.rows);
    llamachat_hidden(m, cache, tokens, T, threads, hidden.data());
    llamachat_logits(m, hidden.data(), T, threads, logits.data());
    for (int64_t t = 0, V = m->output.rows; t < T; t++) chosen[t] = choose(&logits[t * V], V, *settings, drawn[t]);
}

// What this was built for.
extern "C" const char* llamachat_machine() {
#if defined(__AVX512VNNI__)
    return "AVX-512 with VNNI";
#elif defined(__AVX512F__)
    return "AVX-512";
#elif defined(__AVX2__)
    return "AVX2";
#elif defined(__ARM_FEATURE_DOTPROD)
    return "NEON with dot products";
#else
    return "vectors of 16 bytes";
#endif
}
