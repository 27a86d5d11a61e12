/* A disk that takes its time, or fails: loaded before the C library. While the file that HOLD_SYNC names exists, no
   sync ends; while FAIL_SYNC's does, every sync fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    while (access(getenv("HOLD_SYNC"), F_OK) == 0) poll(NULL, 0, 1);
    if (access(getenv("FAIL_SYNC"), F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}
