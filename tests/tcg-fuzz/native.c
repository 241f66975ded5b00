/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See native.h. A signal frame carries the whole register state, segments included: the handler of a first,
 * deliberate fault swaps the test's state in, the handler of the test's end swaps it out. */
#include "config.h"

#include "tests/tcg-fuzz/native.h"

#include <asm/ldt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { IDLE, ENTER, RUNNING, LEFT };
enum { SELECTOR_CS64 = 0x33, SELECTOR_CS32 = 0x23, SELECTOR_DS = 0x2b, SELECTOR_CS16 = 0x0f, SELECTOR_DS16 = 0x17 };

/* Signal handlers have no argument of ours. */
static struct {
  volatile int phase;
  unsigned     bits, limit;
  bool         step;
  const FuzzState *in;
  FuzzOutcome *out;
  uint32_t    *alarm_word, alarm_bits;
  gregset_t    saved;
  uint8_t      saved_xsave[FUZZ_XSAVE];
  uint8_t     *code;
} run;

static const int greg_of[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static void
swap_in (ucontext_t *u)
{
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *image = (uint8_t *) u->uc_mcontext.fpregs;
  uint64_t selectors;

  memcpy (run.saved, g, sizeof run.saved);
  memcpy (run.saved_xsave, image, FUZZ_XSAVE);
  for (unsigned i = 0; i < 16; i++)
    g[greg_of[i]] = run.in->gpr[i];
  g[REG_RIP] = run.in->rip;
  g[REG_EFL] = run.in->eflags | (run.step ? 0x100 : 0);
  selectors = (uint64_t) g[REG_CSGSFS] & UINT64_C (0x0000ffffffff0000);
  selectors |= run.bits == 64 ? SELECTOR_CS64 : run.bits == 32 ? SELECTOR_CS32 : SELECTOR_CS16;
  selectors |= (uint64_t) (run.bits == 16 ? SELECTOR_DS16 : SELECTOR_DS) << 48;
  g[REG_CSGSFS] = selectors;
  /* Bytes 464 to 511 and the reserved part of the header are the kernel's. */
  memcpy (image, run.in->xsave, 464);
  memcpy (image + 512, run.in->xsave + 512, 8);
  memcpy (image + 576, run.in->xsave + 576, 256);
  image[28] = run.saved_xsave[28];
  memcpy (image + 28, run.saved_xsave + 28, 4);
  run.phase = RUNNING;
}

static void
swap_out (ucontext_t *u)
{
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *image = (uint8_t *) u->uc_mcontext.fpregs;
  FuzzOutcome *out = run.out;

  for (unsigned i = 0; i < 16; i++)
    out->state.gpr[i] = g[greg_of[i]];
  out->state.rip = g[REG_RIP];
  out->state.eflags = g[REG_EFL];
  memcpy (out->state.xsave, image, FUZZ_XSAVE);
  out->vector = g[REG_TRAPNO];
  out->error = g[REG_ERR];
  out->address = g[REG_CR2];
  memcpy (g, run.saved, sizeof run.saved);
  memcpy (image, run.saved_xsave, FUZZ_XSAVE);
  g[REG_RIP] += 2; /* over the UD2 */
  run.phase = LEFT;
}

static void
on_signal (int number, siginfo_t *info, void *context)
{
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;

  /* AC would make unaligned accesses here fault, and NT and ID would stay set for the next test. */
  __asm__ volatile ("pushfq\n\tandl $~0x244000, (%%rsp)\n\tpopfq" : : : "cc", "memory");
  if (run.phase == ENTER)
    swap_in (u);
  else if (run.phase == RUNNING)
    {
      bool again = number != SIGALRM && run.step && g[REG_TRAPNO] == 1 && (uint64_t) g[REG_RIP] == run.in->rip && run.limit > 1;

      if (again)
        {
          run.limit--;
          return;
        }
      swap_out (u);
      if (number == SIGALRM)
        run.out->vector = NATIVE_ENDLESS;
    }
  else if (number == SIGALRM)
    {
      if (run.alarm_word)
        __atomic_fetch_or (run.alarm_word, run.alarm_bits, __ATOMIC_RELAXED);
    }
  else
    {
      /* Not ours: let it kill the process. */
      dprintf (STDERR_FILENO, "signal %d, vector %d at %llx, address %llx\n", number, (int) g[REG_TRAPNO],
               (unsigned long long) g[REG_RIP], (unsigned long long) g[REG_CR2]);
      signal (number, SIG_DFL);
    }
}

void
native_run (unsigned bits, const FuzzState *state, bool step, unsigned limit, FuzzOutcome *out)
{
  static const struct itimerval limit_time = { .it_value = { .tv_sec = 2 } }, no_time;

  run.bits = bits;
  run.step = step;
  run.limit = limit;
  run.in = state;
  run.out = out;
  run.phase = ENTER;
  if (!step)
    setitimer (ITIMER_REAL, &limit_time, NULL);
  if (bits == 64)
    __asm__ volatile ("ud2" : : : "memory", "cc");
  else
    {
      /* Data segments are not part of the frame. */
      uint16_t ds = bits == 16 ? SELECTOR_DS16 : SELECTOR_DS;

      __asm__ volatile ("movw %w0, %%ds\n\tmovw %w0, %%es\n\tud2\n\tmovw %w1, %%ds\n\tmovw %w1, %%es"
                        : : "r" (ds), "r" (0) : "memory", "cc");
    }
  run.phase = IDLE;
  if (!step)
    setitimer (ITIMER_REAL, &no_time, NULL);
  if (step && out->vector == 1)
    out->vector = -1;
}

void
native_alarm (uint32_t *word, uint32_t bits)
{
  const struct itimerval time = { .it_value = { .tv_usec = word ? 20000 : 0 } };

  run.alarm_word = word;
  run.alarm_bits = bits;
  setitimer (ITIMER_REAL, &time, NULL);
}

uint8_t *
native_code (void)
{
  return run.code;
}

static bool
set_segment (unsigned entry, uint64_t base, bool is_code)
{
  struct user_desc d = { .entry_number = entry, .base_addr = base, .limit = 0xffff, .contents = is_code ? 2 : 0 };

  return syscall (SYS_modify_ldt, 0x11, &d, sizeof d) == 0;
}

static bool
map_at (uint64_t address, size_t size, int protection, int flags, int fd)
{
  void *p = (void *) (uintptr_t) address;

  return mmap (p, size, protection, flags | MAP_FIXED_NOREPLACE, fd, 0) == p;
}

bool
native_begin (GError **error)
{
  static uint8_t stack[256 * 1024];
  const int signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP, SIGALRM };
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  int fd = memfd_create ("fuzz-code", 0);

  if (fd < 0 || ftruncate (fd, FUZZ_CODE_SIZE) != 0)
    return vm_fail (error, "could not make a memory file");
  run.code = mmap (NULL, FUZZ_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (run.code == MAP_FAILED ||
      !map_at (FUZZ_CODE, FUZZ_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd) ||
      !map_at (FUZZ_DATA, FUZZ_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1) ||
      !map_at (FUZZ_HIGH, FUZZ_HIGH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1))
    return vm_fail (error, "the test's addresses are not free in this process");
  close (fd);
  mprotect ((void *) (uintptr_t) (FUZZ_DATA + FUZZ_READ_ONLY), VM_PAGE_SIZE, PROT_READ);
  mprotect ((void *) (uintptr_t) (FUZZ_DATA + FUZZ_HOLE), VM_PAGE_SIZE, PROT_NONE);
  if (!set_segment (1, FUZZ_CODE, true) || !set_segment (2, FUZZ_DATA, false))
    return vm_fail (error, "modify_ldt does not work here");
  sigaltstack (&alternate, NULL);
  for (unsigned i = 0; i < G_N_ELEMENTS (signals); i++)
    sigaction (signals[i], &action, NULL);
  return true;
}
