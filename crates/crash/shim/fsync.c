/* Preloaded into a server: makes fsync and fdatasync slow, stuck or failing, as the file that FSYNC_SHIM names says.
 *
 *   (empty, or no file)   as the system does it
 *   delay N               N microseconds later than the system
 *   stuck                 not before the file says something else
 *   fail                  EIO
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int shimmed(const char *name, int fd) {
    const char *path = getenv("FSYNC_SHIM");
    for (;;) {
        char word[16] = "";
        unsigned delay_us = 0;
        FILE *file = path ? fopen(path, "r") : NULL;
        if (file) {
            if (fscanf(file, "%15s %u", word, &delay_us) < 1) word[0] = 0;
            fclose(file);
        }
        if (strcmp(word, "fail") == 0) {
            errno = EIO;
            return -1;
        }
        if (strcmp(word, "stuck") != 0) {
            if (delay_us) usleep(delay_us);
            break;
        }
        usleep(1000);
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd) { return shimmed("fsync", fd); }
int fdatasync(int fd) { return shimmed("fdatasync", fd); }
