/* A disk that needs 20 ms for each sync, and counts them: for whatever is started with this in
   LD_PRELOAD. Each sync is a byte in the file that SLOW_DISK_LOG names. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int slow(long sync, int file) {
    struct timespec wait = {0, 20 * 1000 * 1000};
    const char *log = getenv("SLOW_DISK_LOG");
    int counted = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (counted >= 0) {
        if (write(counted, ".", 1) != 1) abort();
        close(counted);
    }
    nanosleep(&wait, 0);
    return syscall(sync, file);
}

int fdatasync(int file) {
    return slow(SYS_fdatasync, file);
}

int fsync(int file) {
    return slow(SYS_fsync, file);
}
