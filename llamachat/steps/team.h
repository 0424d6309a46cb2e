// Threads that work together on one call. Knows no numbers.

#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace {

// Where the threads of a call meet before they read what others wrote.
class Barrier {
    std::atomic<int> arrived{0}, round{0};

public:
    void meet(int n) {
        if (n == 1) return;
        int now = round.load();
        if (arrived.fetch_add(1) + 1 == n) {
            arrived = 0;
            round = now + 1;
            return;
        }
        for (int spins = 0; round.load() == now; spins++)
            if (spins > 2000) std::this_thread::yield();  // the one we wait for may have lost its core
    }
};

// They sleep between calls, since nobody knows when the next one comes.
class Team {
    std::mutex calls, lock;
    std::condition_variable begin, end;
    const std::function<void(int)>* work = nullptr;
    int wanted = 0, busy = 0, members = 1;
    uint64_t round = 0;

    void serve(int number, uint64_t seen) {
        for (std::unique_lock<std::mutex> held(lock);;) {
            begin.wait(held, [&] { return round != seen; });
            seen = round;
            if (number >= wanted) continue;
            auto* mine = work;
            held.unlock();
            (*mine)(number);
            held.lock();
            if (--busy == 0) end.notify_one();
        }
    }

public:
    void run(int threads, const std::function<void(int)>& given) {
        if (threads <= 1) return given(0);
        std::lock_guard<std::mutex> call(calls);
        {
            std::lock_guard<std::mutex> held(lock);
            for (; members < threads; members++) std::thread(&Team::serve, this, members, round).detach();
            work = &given, wanted = threads, busy = threads - 1, round++;
        }
        begin.notify_all();
        given(0);
        std::unique_lock<std::mutex> held(lock);
        end.wait(held, [&] { return busy == 0; });
    }
};

Team& team = *new Team;  // never destroyed: its threads end with the process

struct Share {  // of one thread: which of `count` things, in whole groups
    int64_t from, to;
    Share(int64_t count, int number, int threads, int64_t group = 4) {
        int64_t groups = (count + group - 1) / group;
        from = std::min(count, groups * number / threads * group);
        to = std::min(count, groups * (number + 1) / threads * group);
    }
};

}  // namespace
