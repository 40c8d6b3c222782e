#include "parallel.h"
#include "loss.h"

#include <omp.h>
#include <stdatomic.h>

/* libgomp synchronizes with futexes, which ThreadSanitizer does not see. These macros declare what
   libgomp guarantees: everything before the region happens before each thread's part of it, and
   each part happens before everything after the region. Only the addresses of the variables matter.
   Functions with regions are not instrumented, because the compiler passes their variables to the
   threads before the first annotation. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char region_start, region_end;
#define HAPPENS_BEFORE(address) __tsan_release(address)
#define HAPPENS_AFTER(address)  __tsan_acquire(address)
#define OPENS_REGION            __attribute__((no_sanitize("thread")))
#else
#define HAPPENS_BEFORE(address)
#define HAPPENS_AFTER(address)
#define OPENS_REGION
#endif

OPENS_REGION void parallel_for(size_t n, int threads,
                               void (*body)(void *context, size_t i, int thread), void *context)
{
    if (threads <= 1 || n <= 1) {
        for (size_t i = 0; i < n; i++)
            body(context, i, 0);
        return;
    }
    HAPPENS_BEFORE(&region_start);
#pragma omp parallel num_threads(threads)
    {
        HAPPENS_AFTER(&region_start);
        const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < n; i++)
            body(context, i, thread);
        HAPPENS_BEFORE(&region_end);
    }
    HAPPENS_AFTER(&region_end);
}

OPENS_REGION int loss_warm_up(int threads)
{
    atomic_int team = 0;
#pragma omp parallel num_threads(threads < 1 ? 1 : threads)
    atomic_fetch_add(&team, 1);
    return team;
}
