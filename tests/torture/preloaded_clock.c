/* The clock on the wall, moved by what a file says, for any program that this is preloaded into (LD_PRELOAD).

   The file CLOCK_FILE holds how far the clock is moved: nanoseconds, as eight bytes of the machine's own order. Only
   CLOCK_REALTIME moves, as where a person or NTP sets a clock. libfaketime 0.9.10 would not do: where it leaves the
   monotonic clock alone, clock_nanosleep fails, with which Python sleeps. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000LL

static const volatile int64_t *moved;
static int (*read_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    read_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int file = open(CLOCK_FILE, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    void *map = mmap(NULL, sizeof *moved, PROT_READ, MAP_SHARED, file, 0);
    moved = map == MAP_FAILED ? NULL : map;
    close(file);
}

int clock_gettime(clockid_t id, struct timespec *found) {
    if (read_clock == NULL)
        begin();
    int failed = read_clock(id, found);
    if (failed || moved == NULL || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return failed;
    int64_t now = found->tv_sec * BILLION + found->tv_nsec + *moved;
    found->tv_sec = now / BILLION;
    found->tv_nsec = now % BILLION;
    return 0;
}

int gettimeofday(struct timeval *found, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found)
        *found = now.tv_sec;
    return now.tv_sec;
}
