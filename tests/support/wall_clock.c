/* Moves the wall clock of a program: CLOCK_REALTIME plus as many seconds as the file of WALL_CLOCK says. Preloaded (LD_PRELOAD). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *at)
{
    int result = (int)syscall(SYS_clock_gettime, id, at);
    const char *path = getenv("WALL_CLOCK");
    FILE *file = result == 0 && id == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long long seconds = 0;
    if (file) {
        if (fscanf(file, "%lld", &seconds) == 1)
            at->tv_sec += (time_t)seconds;
        fclose(file);
    }
    return result;
}
