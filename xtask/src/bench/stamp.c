/*
 * The program every manager starts in the benches: it writes the time of its first instruction into its slot
 * of a file that all instances share, and then sleeps until it is killed.
 *
 *     stamp FILE SLOT
 *
 * As a login shell it is given no arguments. Then it is compiled with STAMP_FILE, the file, and STAMP_UID, the uid
 * of the user who has slot 0.
 *
 * Without a C library: in a virtual machine the library's look at the processor (CPUID traps there) takes 0.4 ms
 * before main, several times what a manager needs. A slot is 64 bytes: the number of instances so far,
 * CLOCK_MONOTONIC of the newest in nanoseconds, its pid as it sees it itself.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl begin\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "the first instructions of this program are written for x86-64 and AArch64"
#endif

struct slot {
    uint64_t instances;
    uint64_t nanoseconds;
    uint64_t pid;
    uint64_t unused[5];
};

enum { PAGE = 65536 }; /* a multiple of every page size */

static _Noreturn void leave(long status)
{
    for (;;)
        call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

/* `stack` is what the kernel leaves there: argc, argv. */
__attribute__((used)) _Noreturn void begin(long *stack)
{
    struct timespec now;
    call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0, 0, 0);

#ifdef STAMP_FILE
    (void)stack;
    const char *path = STAMP_FILE;
    uint64_t at = (uint64_t)call(SYS_getuid, 0, 0, 0, 0, 0, 0) - STAMP_UID;
#else
    if (stack[0] != 3)
        leave(2);
    char **argv = (char **)(stack + 1);
    const char *path = argv[1];
    uint64_t at = 0;
    for (const char *digit = argv[2]; *digit; digit++)
        at = at * 10 + (uint64_t)(*digit - '0');
#endif
    at *= sizeof(struct slot);

    long file = call(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
    if (file < 0)
        leave(3);
    long page = call(SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, (long)(at - at % PAGE));
    if (page < 0 && page > -4096)
        leave(4);
    call(SYS_close, file, 0, 0, 0, 0, 0);

    struct slot *slot = (struct slot *)(page + (long)(at % PAGE));
    slot->nanoseconds = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    slot->pid = (uint64_t)call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    __atomic_fetch_add(&slot->instances, 1, __ATOMIC_RELEASE);
    call(SYS_munmap, page, PAGE, 0, 0, 0, 0);

    for (;;)
        call(SYS_ppoll, 0, 0, 0, 0, 0, 0);
}
