/* By hand where we know the processor: the library's swapcontext() makes two system calls each time.
 */
#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

/* fiber_jump(from, to): push what a call must preserve, *from = stack pointer, stack pointer = to,
 * pop. A new stack is laid out as if fiber_jump() had been called there by fiber_start(). */
void fiber_jump(void **from, void *to);

#if defined(__x86_64__)
#define FRAME_WORDS  8 /* control words, six registers, return address */
#define RETURN_INDEX 7
#define TOP_WORDS    1 /* above the frame, so that the stack is aligned as after a call */
__asm__(".text\n"
        ".globl fiber_jump\n"
        ".hidden fiber_jump\n"
        ".type fiber_jump, @function\n"
        "fiber_jump:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_jump, . - fiber_jump\n");

/* The control words as they are now: a new stack begins with them. */
static uint64_t control_words(void)
{
    uint32_t vector = 0;
    uint16_t scalar = 0;

    __asm__("stmxcsr %0\n\tfnstcw %1" : "=m"(vector), "=m"(scalar));
    return (uint64_t)scalar << 32 | vector;
}
#elif defined(__aarch64__)
#define FRAME_WORDS  20 /* x19...x30, d8...d15 */
#define RETURN_INDEX 11 /* x30 */
#define TOP_WORDS    2
__asm__(".text\n"
        ".globl fiber_jump\n"
        ".hidden fiber_jump\n"
        ".type fiber_jump, %function\n"
        "fiber_jump:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x2, sp\n"
        "    str x2, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size fiber_jump, . - fiber_jump\n");

static uint64_t control_words(void)
{
    return 0;
}
#else
#define FRAME_WORDS 0
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif

#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HAVE_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifdef HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* Of the switch under way: who left, and who runs. */
static _Thread_local struct fiber *leaving;
static _Thread_local struct fiber *running;

/* ---- sanitizers, valgrind ---- */

static void announce(struct fiber *from, const struct fiber *to)
{
#ifdef HAVE_ASAN
    __sanitizer_start_switch_fiber(&from->shadow, to->bottom, to->size);
#endif
#ifdef HAVE_TSAN
    __tsan_switch_to_fiber(to->shadow, 0);
#endif
    (void)from;
    (void)to;
}

/* The thread's own stack is known only from here on. */
static void arrived(struct fiber *here)
{
#ifdef HAVE_ASAN
    __sanitizer_finish_switch_fiber(here->shadow, &leaving->bottom, &leaving->size);
#endif
    (void)here;
}

static void *new_shadow(const uint8_t *bottom, const uint8_t *end)
{
    (void)bottom;
    (void)end;
#if defined(HAVE_TSAN)
    return __tsan_create_fiber(0);
#elif defined(HAVE_VALGRIND)
    return (void *)(uintptr_t)VALGRIND_STACK_REGISTER(bottom, end - 1);
#else
    return NULL;
#endif
}

static void free_shadow(void *shadow)
{
#if defined(HAVE_TSAN)
    __tsan_destroy_fiber(shadow);
#elif defined(HAVE_VALGRIND)
    VALGRIND_STACK_DEREGISTER((uintptr_t)shadow);
#endif
    (void)shadow;
}

/* ---- */

/* Where every new stack begins. */
_Noreturn static void fiber_start(void)
{
    struct fiber *const self = running;

    arrived(self);
    self->body();
    abort(); /* body() never returns */
}

void fiber_init_own(struct fiber *fiber)
{
    *fiber = (struct fiber){.at = NULL};
#ifdef HAVE_TSAN
    fiber->shadow = __tsan_get_current_fiber();
#endif
}

#if FRAME_WORDS > 0
static int prepare(struct fiber *fiber, uint8_t *end)
{
    uint64_t *const frame = (uint64_t *)(void *)end - TOP_WORDS - FRAME_WORDS;

    fiber->at = frame;
    frame[0] = control_words();
    frame[RETURN_INDEX] = (uint64_t)(uintptr_t)fiber_start;
    return 0;
}

static void jump(struct fiber *from, struct fiber *to)
{
    fiber_jump(&from->at, to->at);
}

static void forget(struct fiber *fiber)
{
    fiber->at = NULL;
}
#else
static int prepare(struct fiber *fiber, uint8_t *end)
{
    ucontext_t *const context = calloc(1, sizeof(*context));

    if (context == NULL || getcontext(context) != 0)
        return -ENOMEM;
    context->uc_stack.ss_sp = fiber->stack;
    context->uc_stack.ss_size = (size_t)(end - fiber->stack);
    makecontext(context, fiber_start, 0);
    fiber->at = context;
    return 0;
}

static void jump(struct fiber *from, struct fiber *to)
{
    if (from->at == NULL)
        from->at = calloc(1, sizeof(ucontext_t));
    if (from->at == NULL)
        abort();
    swapcontext(from->at, to->at);
}

static void forget(struct fiber *fiber)
{
    free(fiber->at);
    fiber->at = NULL;
}
#endif

int fiber_init(struct fiber *fiber, size_t bytes, void (*body)(void))
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t total = ((bytes + page - 1) & ~(page - 1)) + page;
    uint8_t *const stack = mmap(NULL, total, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    if (stack == MAP_FAILED)
        return -ENOMEM;
    *fiber = (struct fiber){
        .stack = stack,
        .bytes = total,
        .body = body,
        .bottom = stack + page,
        .size = total - page,
        .shadow = new_shadow(stack + page, stack + total),
    };
    if (mprotect(stack, page, PROT_NONE) != 0 || prepare(fiber, stack + total) != 0) {
        fiber_fini(fiber);
        return -ENOMEM;
    }
    return 0;
}

void fiber_fini(struct fiber *fiber)
{
    if (fiber->stack == NULL)
        return;
#ifdef HAVE_ASAN
    __asan_unpoison_memory_region(fiber->stack, fiber->bytes);
#endif
    munmap(fiber->stack, fiber->bytes);
    forget(fiber);
    free_shadow(fiber->shadow);
    fiber->stack = NULL;
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    leaving = from;
    running = to;
    announce(from, to);
    jump(from, to);
    arrived(from);
}
