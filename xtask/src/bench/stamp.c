/*
 * The program every manager starts in the benches: it writes the time of its first instruction into its slot
 * of a file that all instances share, and then sleeps until it is killed.
 *
 *     stamp FILE SLOT
 *
 * Static and without output, so that what is measured is the manager and not the program. A slot is 64 bytes:
 * the number of instances so far, CLOCK_MONOTONIC of the newest in nanoseconds, its pid as it sees it itself.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct slot {
    uint64_t instances;
    uint64_t nanoseconds;
    uint64_t pid;
    uint64_t unused[5];
};

enum { PAGE = 4096 };

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);

    if (argc != 3)
        return 2;
    size_t at = strtoul(argv[2], NULL, 10) * sizeof(struct slot);
    int fd = open(argv[1], O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 3;
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(at - at % PAGE));
    if (page == MAP_FAILED)
        return 4;
    close(fd);

    struct slot *slot = (struct slot *)(page + at % PAGE);
    slot->nanoseconds = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    slot->pid = (uint64_t)getpid();
    __atomic_fetch_add(&slot->instances, 1, __ATOMIC_RELEASE);
    munmap(page, PAGE);

    for (;;)
        pause();
}
