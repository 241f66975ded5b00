/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host faults inside generated code are guest exceptions: #DE, #XM, #MF and the #GP of misaligned vector
 * operands. The handler only redirects: tier 0 then does the instruction again and raises what is due. */
#include "engine/tcg/host-x86_64/jit-private.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define ALT_STACK_SIZE (64 * 1024)

/* What a signal handler can reach: state of the process and of the thread, by their nature. */
static struct sigaction previous[2];
static _Thread_local VmJit *thread_jit;

static const JitSite *
find_site (VmJit *jit, const uint8_t *pc)
{
  const VmBlock *block = jit_memory_find (jit, pc);
  const JitSite *sites, *found = NULL;

  if (block == NULL)
    return NULL;
  sites = block->sites;
  for (unsigned i = 0; i < block->n_sites && sites[i].host <= (size_t) (pc - jit->rx); i++)
    found = &sites[i];
  return found;
}

static void
chain (int number, siginfo_t *info, void *context)
{
  const struct sigaction *old = &previous[number == SIGFPE];

  if (old->sa_flags & SA_SIGINFO)
    old->sa_sigaction (number, info, context);
  else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN)
    old->sa_handler (number);
  else
    signal (number, SIG_DFL); /* the instruction faults again, for good */
}

static void
handler (int number, siginfo_t *info, void *context)
{
  ucontext_t *uc = context;
  greg_t *regs = uc->uc_mcontext.gregs;
  VmJit *jit = thread_jit;
  const uint8_t *pc = (const uint8_t *) regs[REG_RIP];
  const JitSite *site;

  /* An address of the host that is not mapped is no guest's doing: all of theirs were looked up. */
  if (jit == NULL || (number == SIGSEGV && info->si_code != SI_KERNEL) || pc < jit->rx || pc >= jit->rx + jit->size
      || (site = find_site (jit, pc)) == NULL)
    {
      chain (number, info, context);
      return;
    }
  regs[REG_R13] = (greg_t) site;
  regs[REG_RIP] = (greg_t) (site->fault_flags == SITE_FLAGS_HOST ? jit->stubs.fault_host : jit->stubs.fault_slot);
}

static void
install_once (void)
{
  static gsize done;

  if (g_once_init_enter (&done))
    {
      struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

      sigemptyset (&action.sa_mask);
      sigaction (SIGSEGV, &action, &previous[0]);
      sigaction (SIGFPE, &action, &previous[1]);
      g_once_init_leave (&done, 1);
    }
}

bool
jit_signals_begin (VmJit *jit, GError **error)
{
  stack_t stack = { .ss_size = ALT_STACK_SIZE }, old;

  install_once ();
  if (sigaltstack (NULL, &old) == 0 && old.ss_flags & SS_DISABLE)
    {
      jit->alt_stack = mmap (NULL, ALT_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (jit->alt_stack == MAP_FAILED)
        {
          jit->alt_stack = NULL;
          return vm_fail (error, "could not allocate a signal stack: %s", g_strerror (errno));
        }
      stack.ss_sp = jit->alt_stack;
      sigaltstack (&stack, NULL);
    }
  thread_jit = jit;
  return true;
}

void
jit_signals_end (VmJit *jit)
{
  if (thread_jit == jit)
    thread_jit = NULL;
  if (jit->alt_stack)
    {
      stack_t stack = { .ss_flags = SS_DISABLE };

      sigaltstack (&stack, NULL);
      munmap (jit->alt_stack, ALT_STACK_SIZE);
    }
}

void
jit_signals_enter (VmJit *jit)
{
  thread_jit = jit;
}
