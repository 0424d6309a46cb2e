// Which id comes next, from logits: what llamachat/picking.py says, but that nothing is sorted beyond where the choice
// falls.

#pragma once

#include <utility>

#include "arithmetic.h"

namespace {

struct Settings {
    float temperature, top_p, min_p;  // temperature 0 is greedy
    int32_t top_k;                    // 0 is off
};

struct Candidates {  // ids with what each weighs, the heaviest first, as far as anybody has asked
    std::vector<std::pair<float, int32_t>> all;
    int64_t sorted = 0;

    const std::pair<float, int32_t>& at(int64_t i) {
        if (i >= sorted) {
            int64_t end = std::min(int64_t(all.size()), 4 * i + 64);
            std::partial_sort(all.begin() + sorted, all.begin() + end, all.end(),
                              [](auto& a, auto& b) { return a.first > b.first; });
            sorted = end;
        }
        return all[i];
    }
};

// Temperature makes weights of logits (V), the largest of which is `top`; their sum goes to `total`.
Candidates weighed(const float* logits, int64_t V, float top, float temperature, float& total) {
    Candidates found;
    found.all.resize(V);
    total = 0;
    for (int64_t i = 0; i < V; i += N) {
        float few[N] = {};
        int64_t n = std::min(int64_t(N), V - i);
        for (int64_t j = 0; j < n; j++) few[j] = (logits[i + j] - top) / temperature;
        store(few, exp(load<Floats>(few)));
        for (int64_t j = 0; j < n; j++) found.all[i + j] = {few[j], int32_t(i + j)}, total += few[j];
    }
    return found;
}

// The next id from logits (V), -1 if they are not finite. `drawn` in [0, 1) decides among those that the filters leave.
int32_t choose(const float* logits, int64_t V, const Settings& s, float drawn) {
    int64_t best = 0;
    bool odd = false;
    for (int64_t i = 0; i < V; i++) {
        odd |= logits[i] != logits[i];
        if (logits[i] > logits[best]) best = i;
    }
    if (odd || !std::isfinite(logits[best])) return -1;
    if (s.temperature == 0 || s.top_k == 1) return int32_t(best);
    float total, kept = 0;
    Candidates found = weighed(logits, V, logits[best], std::max(s.temperature, 1e-30f), total);
    int64_t n = V, end = 0;
    if (s.top_k && s.top_k < V) {
        for (n = s.top_k; n < V && found.at(n).first == found.at(s.top_k - 1).first;) n++;
        total = 0;
        for (int64_t i = 0; i < n; i++) total += found.at(i).first;
    }
    if (s.top_p >= 1 && s.min_p <= 0) {
        kept = total, end = n;
    } else {
        for (; end < n; kept += found.at(end++).first)
            if (found.at(end).first < s.min_p * found.at(0).first || (s.top_p < 1 && kept >= s.top_p * total)) break;
    }
    float sum = 0;
    for (int64_t i = 0; i < end; i++)
        if ((sum += found.at(i).first) > drawn * kept) return found.at(i).second;
    return found.at(end - 1).second;
}

}  // namespace
