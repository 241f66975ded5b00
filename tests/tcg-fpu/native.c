/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs one instruction on the host: code and state lie at low addresses so that absolute operands reach them. */
#include "config.h"

#include "tests/tcg-fpu/native.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

typedef struct Area { /* the low page the code works on */
  NativeState state;
  uint64_t    host_rsp;
  uint8_t     host_image[NATIVE_XSAVE] __attribute__ ((aligned (64)));
} Area;

struct Native {
  Area    *area;
  uint8_t *code;
  uint8_t *data;
  unsigned data_pages;
};

/* Signal handlers have no argument of their own: the one run of a thread in progress. */
static __thread struct {
  sigjmp_buf   env;
  NativeState *state;
  bool         active;
} run;

static void
on_signal (int number, siginfo_t *info, void *context)
{
  ucontext_t *uc = context;
  static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

  if (!run.active)
    {
      signal (number, SIG_DFL);
      return;
    }
  for (unsigned i = 0; i < 16; i++)
    run.state->gpr[i] = uc->uc_mcontext.gregs[order[i]];
  run.state->flags = uc->uc_mcontext.gregs[REG_EFL];
  memcpy (run.state->image, uc->uc_mcontext.fpregs, NATIVE_XSAVE);
  siglongjmp (run.env, number);
}

Native *
native_new (unsigned data_pages)
{
  static const int signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP };
  struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };
  Native *n = g_new0 (Native, 1);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT;

  n->area = mmap (NULL, VM_PAGE_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0);
  n->code = mmap (NULL, VM_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
  n->data = mmap (NULL, (data_pages + 2) * VM_PAGE_SIZE, PROT_NONE, flags, -1, 0);
  g_assert_true (n->area != MAP_FAILED && n->code != MAP_FAILED && n->data != MAP_FAILED);
  n->data += VM_PAGE_SIZE;
  n->data_pages = data_pages;
  g_assert_cmpint (mprotect (n->data, data_pages * VM_PAGE_SIZE, PROT_READ | PROT_WRITE), ==, 0);
  for (unsigned i = 0; i < G_N_ELEMENTS (signals); i++)
    sigaction (signals[i], &action, NULL);
  return n;
}

void
native_free (Native *n)
{
  munmap (n->area, VM_PAGE_SIZE);
  munmap (n->code, VM_PAGE_SIZE);
  munmap (n->data - VM_PAGE_SIZE, (n->data_pages + 2) * VM_PAGE_SIZE);
  g_free (n);
}

uint8_t *
native_data (Native *n)
{
  return n->data;
}

static uint8_t *
put (uint8_t *p, const char *hex)
{
  for (; *hex; hex += *hex == ' ' ? 1 : 2)
    {
      if (*hex == ' ')
        continue;
      *p++ = g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]);
    }
  return p;
}

static uint8_t *
put_address (uint8_t *p, const void *address)
{
  vm_store_le32 (p, (uint32_t) (uintptr_t) address);
  return p + 4;
}

/* mov gpr[i], [address] (8b) or mov [address], gpr[i] (89). */
static uint8_t *
put_move (uint8_t *p, uint8_t opcode, unsigned i, const void *address)
{
  *p++ = 0x48 | (i & 8 ? 4 : 0);
  *p++ = opcode;
  *p++ = 0x04 | (i & 7) << 3;
  *p++ = 0x25;
  return put_address (p, address);
}

static uint8_t *
put_state (uint8_t *p, const char *instruction, const void *image)
{
  p = put (p, "b8 07000000 31d2 ");
  return put_address (put (p, instruction), image);
}

static void
build (Native *n, const uint8_t *bytes, unsigned len)
{
  Area *a = n->area;
  uint8_t *p = put (n->code, "53 55 41 54 41 55 41 56 41 57 ");

  p = put_move (p, 0x89, 4, &a->host_rsp);
  p = put_state (p, "48 0f ae 24 25 ", a->host_image);
  p = put_state (p, "48 0f ae 2c 25 ", a->state.image);
  p = put_address (put (p, "ff 34 25 "), &a->state.flags);
  p = put (p, "9d ");
  for (unsigned i = 0; i < 16; i++)
    if (i != 4)
      p = put_move (p, 0x8b, i, &a->state.gpr[i]);
  memcpy (p, bytes, len);
  p += len;
  for (unsigned i = 0; i < 16; i++)
    if (i != 4)
      p = put_move (p, 0x89, i, &a->state.gpr[i]);
  p = put_address (put (p, "9c 8f 04 25 "), &a->state.flags);
  p = put_state (p, "48 0f ae 24 25 ", a->state.image);
  p = put (p, "db e3 ");
  p = put_state (p, "48 0f ae 2c 25 ", a->host_image);
  p = put (p, "41 5f 41 5e 41 5d 41 5c 5d 5b c3 ");
}

int
native_run (Native *n, const uint8_t *bytes, unsigned len, NativeState *state)
{
  int number;

  build (n, bytes, len);
  memset (n->area->host_image, 0, NATIVE_XSAVE);
  n->area->state = *state;
  run.state = state;
  number = sigsetjmp (run.env, 1);
  if (number == 0)
    {
      run.active = true;
      ((void (*) (void)) n->code) ();
      *state = n->area->state;
    }
  else
    {
      /* The host's registers were not put back. */
      __asm__ volatile ("fninit\n\tldmxcsr %0" : : "m" ((const uint32_t) { 0x1f80 }));
    }
  run.active = false;
  return number;
}
