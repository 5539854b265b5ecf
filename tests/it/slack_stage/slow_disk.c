/* A disk that needs 20 ms for each sync, for whatever is started with this in LD_PRELOAD. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void slow(void) {
    struct timespec wait = {0, 20 * 1000 * 1000};
    nanosleep(&wait, 0);
}

int fdatasync(int file) {
    slow();
    return syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    slow();
    return syscall(SYS_fsync, file);
}
