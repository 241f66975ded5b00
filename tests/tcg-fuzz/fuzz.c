/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Differential fuzzing of an engine against the host's processor: random instructions of every form in the decode
 * table, in 64-, 32- and 16-bit code, with biased random state; registers, flags, memory, vector and x87 state and
 * exceptions are compared.
 *
 *     tcg-fuzz [--seconds N] [--seed N] [--engine NAME] [--count N] [--only MNEMONIC] [--bits N] [--integer]
 */
#include "config.h"

#include "engine/tcg/decode/decode-private.h"
#include "tests/tcg-fuzz/engine.h"
#include "tests/tcg-fuzz/generate.h"

#include <stdio.h>
#include <sys/mman.h>

#define PHYS_DATA 0x100000u
#define PHYS_HIGH 0x120000u
#define PHYS_CODE 0x130000u
#define HLT       0xf4
#define MAX_INSNS 12
#define HOST_TOP  UINT64_C (0x7ffffffff000) /* faults from there on look different, as the kernel hides why */

typedef struct Test {
  unsigned bits, n_insns;
  bool     step, loops, branches;
  unsigned offset, len; /* in the code */
  uint8_t  bytes[MAX_INSNS * 16];
  VmInsn   insn[MAX_INSNS];
  FuzzState state;
  uint32_t undefined, undefined_any; /* flags: now, and by any instruction so far */
  uint32_t flags_read;               /* by any so far: what goes back may bring them undefined ones */
} Test;

typedef struct Fuzz {
  VmFixture  *f;
  const FuzzEngine *engine;
  FuzzRandom  random;
  const uint64_t *features;
  uint32_t   *covered[3];  /* by row */
  char       *only;
  unsigned    only_bits;
  bool        integer_only, strict, trace;
  uint64_t    tests, mismatches, undefined, unsupported;
} Fuzz;

/* The write callback of fuzz_aim() has no argument of ours. */
static VmFixture *fixture;

static const char *const skipped[] = {
  /* they leave the test, read the machine, or load segments that the host process needs */
  "int", "int3", "int1", "into", "syscall", "sysenter", "sysexit", "sysret", "cpuid", "rdtsc", "rdtscp", "rdpmc",
  "rdpid", "rdrand", "rdseed", "xgetbv", "les", "lds", "lss", "lfs", "lgs", "callf", "jmpf", "retf", "iret/iretd/iretq",
  "sgdt", "sidt", "sldt", "str", "smsw", "lar", "lsl", "verr", "verw", "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase",
  "monitor", "mwait", "vmcall", "vmmcall", "rdpkru", "wrpkru", "xsetbv", "rsm", "arpl", "pause", "clzero",
  /* their images hold instruction pointers or areas a signal frame does not show */
  "fnstenv", "fnsave", "fldenv", "frstor", "fxsave", "fxsave64", "fxrstor", "fxrstor64", "xsave", "xsave64",
  "xsavec", "xsavec64", "xsaveopt", "xsaveopt64", "xsaves", "xsaves64", "xrstor", "xrstor64", "xrstors", "xrstors64",
};
static const unsigned skipped_ops[] = { VM_OP_MOV_TO_SREG, VM_OP_MOV_FROM_SREG, VM_OP_PUSH_SREG, VM_OP_POP_SREG };

static bool
is_skipped (const Fuzz *z, unsigned row)
{
  const VmInsnRow *r = &vm_insn_rows[row];

  for (unsigned i = 0; i < G_N_ELEMENTS (skipped); i++)
    if (strcmp (r->mnemonic, skipped[i]) == 0)
      return true;
  for (unsigned i = 0; i < G_N_ELEMENTS (skipped_ops); i++)
    if (r->op == skipped_ops[i])
      return true;
  return z->integer_only &&
         r->attrs & (VM_ATTR_STATE_X87 | VM_ATTR_STATE_MMX | VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX);
}

/* --- memory of both sides ------------------------------------------------------------------------ */

static uint8_t *
guest_memory (uint64_t linear, unsigned len)
{
  if (linear >= FUZZ_DATA && linear < FUZZ_DATA + FUZZ_READ_ONLY - len)
    return fixture->ram + PHYS_DATA + (linear - FUZZ_DATA);
  if (linear >= FUZZ_HIGH && linear < FUZZ_HIGH + FUZZ_HIGH_SIZE - len)
    return fixture->ram + PHYS_HIGH + (linear - FUZZ_HIGH);
  return NULL;
}

static void
write_both (uint64_t linear, const void *data, unsigned len)
{
  uint8_t *guest = guest_memory (linear, len);

  if (guest)
    {
      memcpy (guest, data, len);
      memcpy ((void *) (uintptr_t) linear, data, len);
    }
}

static void
randomize_memory (Fuzz *z)
{
  for (unsigned i = 0; i < 64; i++)
    {
      uint64_t v = fuzz_value (&z->random);
      uint64_t at = fuzz_chance (&z->random, 80) ? FUZZ_DATA + fuzz_below (&z->random, FUZZ_READ_ONLY)
                                                 : FUZZ_HIGH + fuzz_below (&z->random, FUZZ_HIGH_SIZE);

      write_both (at, &v, 8);
    }
}

typedef struct Area {
  uint64_t linear, phys;
  unsigned size;
} Area;
static const Area areas[] = {
  { FUZZ_DATA, PHYS_DATA, FUZZ_HOLE },
  { FUZZ_DATA + FUZZ_HOLE + VM_PAGE_SIZE, PHYS_DATA + FUZZ_HOLE + VM_PAGE_SIZE,
    FUZZ_DATA_SIZE - FUZZ_HOLE - VM_PAGE_SIZE },
  { FUZZ_HIGH, PHYS_HIGH, FUZZ_HIGH_SIZE },
};

static bool
memory_differs (VmFixture *f, uint64_t *where)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (areas); i++)
    {
      const uint8_t *host = (const uint8_t *) (uintptr_t) areas[i].linear, *guest = f->ram + areas[i].phys;

      if (memcmp (host, guest, areas[i].size) == 0)
        continue;
      for (*where = 0; host[*where] == guest[*where]; ++*where)
        ;
      *where += areas[i].linear;
      return true;
    }
  return false;
}

static void
equalize_memory (VmFixture *f)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (areas); i++)
    memcpy (f->ram + areas[i].phys, (const void *) (uintptr_t) areas[i].linear, areas[i].size);
}

static void
put_code (Fuzz *z, unsigned offset, const uint8_t *bytes, unsigned len)
{
  len = MIN (len, FUZZ_CODE_SIZE - offset);
  if (bytes)
    memcpy (native_code () + offset, bytes, len);
  else
    memset (native_code () + offset, HLT, len);
  vm_fixture_write (z->f, PHYS_CODE + offset, native_code () + offset, len);
}

/* --- the guest's side ---------------------------------------------------------------------------- */

static void
load_guest (Fuzz *z, const Test *t)
{
  VmX86Env *env = z->f->env;

  vm_fixture_set_mode (z->f, t->bits, 3, FUZZ_CODE, FUZZ_DATA);
  memcpy (env->gpr, t->state.gpr, sizeof env->gpr);
  env->rip = t->state.rip;
  env->eflags = t->state.eflags | (t->step ? VM_TF : 0);
  memcpy (&env->fx, t->state.xsave, 24);
  vm_store_le32 (&env->fx.mxcsr, vm_load_le32 (t->state.xsave + 24));
  memcpy (env->fx.st, t->state.xsave + 32, 128);
  for (unsigned i = 0; i < 16; i++)
    {
      memcpy (&env->ymm[i].q[0], t->state.xsave + 160 + 16 * i, 16);
      memcpy (&env->ymm[i].q[2], t->state.xsave + 576 + 16 * i, 16);
    }
  vm_x86_update_mode (env);
}

static void
store_guest (Fuzz *z, FuzzOutcome *out)
{
  const VmX86Env *env = z->f->env;

  memcpy (out->state.gpr, env->gpr, sizeof env->gpr);
  out->state.rip = env->rip;
  out->state.eflags = env->eflags;
  memset (out->state.xsave, 0, FUZZ_XSAVE);
  memcpy (out->state.xsave, &env->fx, 160);
  for (unsigned i = 0; i < 16; i++)
    {
      memcpy (out->state.xsave + 160 + 16 * i, &env->ymm[i].q[0], 16);
      memcpy (out->state.xsave + 576 + 16 * i, &env->ymm[i].q[2], 16);
    }
  out->state.xsave[512] = 7;
}

static void
run_guest (Fuzz *z, const Test *t, unsigned limit, FuzzOutcome *out)
{
  VmX86Env *env = z->f->env;

  load_guest (z, t);
  if (t->step)
    do
      {
        out->vector = z->engine->run (z->f, 1);
        if (out->vector == VM_EXC_DB)
          out->vector = -1;
      }
    while (out->vector < 0 && env->rip == t->state.rip && --limit);
  else
    {
      env->poll = 0;
      if (t->loops)
        native_alarm (&env->poll, VM_POLL_KICK);
      out->vector = z->engine->run (z->f, limit);
      if (t->loops)
        native_alarm (NULL, 0);
      env->poll = 0;
    }
  out->error = env->exc_error;
  out->address = env->exc_addr;
  store_guest (z, out);
}

/* --- comparison ---------------------------------------------------------------------------------- */

/* Parts of an XSAVE image that are in their initial state may hold anything. */
static void
normalize_xsave (uint8_t *x)
{
  uint8_t present = x[512];

  if (!(present & 1))
    {
      memset (x, 0, 24);
      memset (x + 32, 0, 128);
      vm_store_le16 (x, 0x37f);
    }
  if (!(present & 2))
    memset (x + 160, 0, 256);
  if (!(present & 4))
    memset (x + 576, 0, 256);
  for (unsigned i = 0; i < 8; i++)
    memset (x + 32 + 16 * i + 10, 0, 6);
  memset (x + 5, 0, 19);  /* opcode and pointers */
  memset (x + 28, 0, 4);  /* MXCSR mask */
}

static void
describe (GString *text, const Test *t, const FuzzOutcome *host, const FuzzOutcome *guest)
{
  static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

  for (unsigned i = 0; i < (t->bits == 64 ? 16 : 8); i++)
    g_string_append_printf (text, "  %s %016" G_GINT64_MODIFIER "x -> host %016" G_GINT64_MODIFIER "x%s\n", names[i],
                            t->state.gpr[i], host->state.gpr[i],
                            host->state.gpr[i] == guest->state.gpr[i]
                              ? "" : g_strdup_printf (" guest %016" G_GINT64_MODIFIER "x  <==", guest->state.gpr[i]));
  g_string_append_printf (text, "  flags %05x -> host %05x guest %05x%s\n", (unsigned) t->state.eflags,
                          (unsigned) host->state.eflags, (unsigned) guest->state.eflags,
                          host->state.eflags == guest->state.eflags ? "" : "  <==");
  g_string_append_printf (text, "  rip %" G_GINT64_MODIFIER "x -> host %" G_GINT64_MODIFIER "x guest %" G_GINT64_MODIFIER "x\n",
                          t->state.rip, host->state.rip, guest->state.rip);
  g_string_append_printf (text, "  exception host %d (%x, %" G_GINT64_MODIFIER "x) guest %d (%x, %" G_GINT64_MODIFIER "x)\n",
                          host->vector, host->error, host->address, guest->vector, guest->error, guest->address);
  for (unsigned i = 0; i < FUZZ_XSAVE; i += 8)
    if (memcmp (host->state.xsave + i, guest->state.xsave + i, 8))
      g_string_append_printf (text, "  xsave+%u: %016" G_GINT64_MODIFIER "x -> host %016" G_GINT64_MODIFIER "x guest %016" G_GINT64_MODIFIER "x\n",
                              i, vm_load_le64 (t->state.xsave + i), vm_load_le64 (host->state.xsave + i),
                              vm_load_le64 (guest->state.xsave + i));
}

static void
report (Fuzz *z, const Test *t, const char *what, const FuzzOutcome *host, const FuzzOutcome *guest)
{
  g_autoptr (GString) text = g_string_new (NULL);
  unsigned at = 0;

  g_string_append_printf (text, "# MISMATCH in %s, %u-bit code%s:", what, t->bits, t->step ? "" : " (run)");
  for (unsigned i = 0; i < t->len; i++)
    g_string_append_printf (text, " %02x", t->bytes[i]);
  g_string_append_c (text, '\n');
  for (unsigned i = 0; i < t->n_insns; i++)
    {
      char line[160];

      vm_insn_format (&t->insn[i], t->state.rip + at, line, sizeof line);
      g_string_append_printf (text, "%c%c%s\n", host->state.rip == t->state.rip + at ? 'h' : ' ',
                              guest->state.rip == t->state.rip + at ? 'g' : ' ', line);
      at += t->insn[i].len;
    }
  describe (text, t, host, guest);
  fputs (text->str, stdout);
  fflush (stdout);
}

static const VmInsn *
insn_at (const Test *t, uint64_t rip)
{
  uint64_t at = t->state.rip;

  for (unsigned i = 0; i < t->n_insns; at += t->insn[i++].len)
    if (at == rip)
      return &t->insn[i];
  return NULL;
}

/* Two reasons to fault: CMPS may touch its operands in either order, CALL may push or look at its target first. */
static bool
stopped_with_choice (const Test *t, const FuzzOutcome *host, const FuzzOutcome *guest)
{
  const VmInsn *insn = host->vector < 0 || guest->vector < 0 || host->state.rip != guest->state.rip
                       ? NULL : insn_at (t, host->state.rip);

  unsigned op = insn ? vm_insn_rows[insn->row].op : VM_OP_UNDEFINED;

  /* Misalignment of a vector operand may come before what is wrong with its address. */
  if (insn && vm_insn_rows[insn->row].attrs & VM_ATTR_ALIGN)
    return host->vector >= VM_EXC_SS && guest->vector >= VM_EXC_SS;
  /* Of several elements any may come first. */
  if (insn && (g_str_has_prefix (vm_insn_rows[insn->row].mnemonic, "vmaskmov") ||
               g_str_has_prefix (vm_insn_rows[insn->row].mnemonic, "vpmaskmov")))
    return host->vector >= VM_EXC_SS && guest->vector >= VM_EXC_SS;
  /* And POPA may have loaded some registers. */
  return op == VM_OP_CMPS || op == VM_OP_POPA || op == VM_OP_CALL || op == VM_OP_CALL_IND;
}

/* A fault in the middle of several pushes may leave some of them in memory. */
static bool
stopped_in_pushes (const Test *t, const FuzzOutcome *host)
{
  const VmInsn *insn = host->vector < 0 ? NULL : insn_at (t, host->state.rip);

  return insn && (vm_insn_rows[insn->row].op == VM_OP_PUSHA || vm_insn_rows[insn->row].op == VM_OP_ENTER);
}

/* A bit that some hosts have and our processors do not: what was to be loaded came from memory that was there by
 * chance. */
static bool
loaded_misaligned_mask (const Test *t, const FuzzOutcome *host, const FuzzOutcome *guest)
{
  const VmInsn *insn = guest->vector == VM_EXC_GP ? insn_at (t, guest->state.rip) : NULL;

  return insn && g_str_has_suffix (vm_insn_rows[insn->row].mnemonic, "ldmxcsr") &&
         vm_load_le32 (host->state.xsave + 24) & 1u << 17;
}

/* x87 operands of more than eight bytes are several accesses, of which the first may fault for another reason before
 * the next one begins at 0, where the address wraps. */
static bool
wrapped (const Test *t, const FuzzOutcome *guest)
{
  const VmInsn *insn = guest->vector == VM_EXC_GP || guest->vector == VM_EXC_SS ? insn_at (t, guest->state.rip) : NULL;

  return insn && t->bits != 64 && vm_insn_rows[insn->row].attrs & VM_ATTR_STATE_X87;
}

static void
compare (Fuzz *z, const Test *t, FuzzOutcome *host, FuzzOutcome *guest)
{
  uint32_t differ;
  uint64_t where;
  bool fault;

  if (stopped_with_choice (t, host, guest) || loaded_misaligned_mask (t, host, guest) || wrapped (t, guest))
    {
      equalize_memory (z->f); /* the host may have written a part */
      return;
    }
  /* Compiled transfers to non-canonical addresses fault at the target, not at the transfer. */
  if (!z->engine->steps && host->vector == VM_EXC_GP && guest->vector == VM_EXC_GP &&
      (int64_t) (guest->state.rip << 16) >> 16 != (int64_t) guest->state.rip)
    {
      equalize_memory (z->f);
      return;
    }
  for (unsigned i = 0; t->bits != 64 && i < 16; i++)
    {
      host->state.gpr[i] = i < 8 ? (uint32_t) host->state.gpr[i] : 0;
      guest->state.gpr[i] = i < 8 ? (uint32_t) guest->state.gpr[i] : 0;
    }
  normalize_xsave (host->state.xsave);
  normalize_xsave (guest->state.xsave);
  memset (host->state.xsave + 464, 0, 576 - 464);
  memset (guest->state.xsave + 464, 0, 576 - 464);
  /* Which flags come with an unmasked exception is not in all cases known: tests/tcg-fpu. */
  if (host->vector == VM_EXC_XM && guest->vector == VM_EXC_XM)
    vm_store_le32 (guest->state.xsave + 24, vm_load_le32 (host->state.xsave + 24));
  host->state.eflags &= ~(uint64_t) (VM_RF | VM_TF);
  guest->state.eflags &= ~(uint64_t) (VM_RF | VM_TF);
  fault = host->vector != guest->vector ||
          (host->vector == VM_EXC_PF && (host->address != guest->address ||
             (host->error ^ guest->error) & (host->address >= HOST_TOP ? VM_PF_W : VM_PF_W | VM_PF_P | VM_PF_U | VM_PF_ID))) ||
          ((host->vector == VM_EXC_GP || host->vector == VM_EXC_SS) && host->error != guest->error);
  differ = host->state.eflags ^ guest->state.eflags;
  if (fault)
    report (z, t, "exception", host, guest);
  else if (host->state.rip != guest->state.rip)
    report (z, t, "rip", host, guest);
  else if (memcmp (host->state.gpr, guest->state.gpr, sizeof host->state.gpr))
    report (z, t, "registers", host, guest);
  else if (memcmp (host->state.xsave, guest->state.xsave, FUZZ_XSAVE))
    report (z, t, "vector or x87 state", host, guest);
  else if (differ & ~t->undefined_any)
    report (z, t, "flags", host, guest);
  else if (memory_differs (z->f, &where) && stopped_in_pushes (t, host))
    {
      equalize_memory (z->f);
      return;
    }
  else if (memory_differs (z->f, &where))
    {
      char text[80];

      g_snprintf (text, sizeof text, "memory at %" G_GINT64_MODIFIER "x", where);
      report (z, t, text, host, guest);
    }
  else
    {
      if (differ)
        {
          z->undefined++;
          if (z->strict)
            report (z, t, "undefined flags", host, guest);
        }
      return;
    }
  z->mismatches++;
  equalize_memory (z->f);
}

/* Where the guest has nothing, the host process may have something: the test cannot be run there. */
static bool
would_hit_host (const FuzzOutcome *guest)
{
  unsigned char resident;
  uint64_t page = guest->address & VM_PAGE_MASK;

  if (guest->vector != VM_EXC_PF || page >= HOST_TOP ||
      (page >= FUZZ_DATA && page < FUZZ_DATA + FUZZ_DATA_SIZE) ||
      (page >= FUZZ_CODE && page < FUZZ_CODE + FUZZ_CODE_SIZE) ||
      (page >= FUZZ_HIGH && page < FUZZ_HIGH + FUZZ_HIGH_SIZE))
    return false;
  return mincore ((void *) (uintptr_t) page, VM_PAGE_SIZE, &resident) == 0;
}

/* --- one test ------------------------------------------------------------------------------------ */

static bool
is_direct_branch (const VmInsn *insn)
{
  unsigned op = vm_insn_rows[insn->row].op;

  return !(insn->flags & VM_INSN_UD) &&
         (op == VM_OP_JCC || op == VM_OP_JMP || op == VM_OP_CALL || op == VM_OP_LOOP || op == VM_OP_LOOPE ||
          op == VM_OP_LOOPNE || op == VM_OP_JCXZ);
}

static bool
is_indirect_branch (const VmInsn *insn)
{
  unsigned op = vm_insn_rows[insn->row].op;

  return op == VM_OP_RET || op == VM_OP_JMP_IND || op == VM_OP_CALL_IND;
}

/* In a free run control stays at places known to be harmless. */
static bool
may_run_free (const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];

  if (is_direct_branch (insn) || is_indirect_branch (insn))
    return true;
  if (row->class_ != VM_CLASS_X && !((row->attrs & VM_ATTR_IP) && !(row->attrs & VM_ATTR_REP)))
    return true;
  return insn->flags & VM_INSN_UD;
}

/* Forms whose outcome manuals leave open and no host instruction is at hand for. */
static bool
is_peculiar (const Test *t, const VmInsn *insn)
{
  /* VMCALL, CLZERO and their like: some processors ignore prefixes there. */
  if (insn->row == 0 && insn->opcode == 0x01 && insn->modrm >= 0xc0)
    return true;
  /* How many bytes of an undefined instruction are fetched. */
  if (((insn->flags & VM_INSN_UD) || vm_insn_rows[insn->row].op == VM_OP_UD0 ||
       vm_insn_rows[insn->row].op == VM_OP_UD1) && t->offset + 16 > FUZZ_CODE_SIZE)
    return true;
  switch (vm_insn_rows[insn->row].op)
    {
    case VM_OP_AAA: case VM_OP_AAS: case VM_OP_AAM: case VM_OP_AAD: case VM_OP_DAA: case VM_OP_DAS:
      return !t->step; /* a later instruction might take up the undefined flags */
    case VM_OP_LDMXCSR: case VM_OP_VLDMXCSR:
      return !t->step; /* a later instruction might see the bit that not all processors have */
    case VM_OP_MASKMOVDQU: case VM_OP_VMASKMOVDQU: case VM_OP_MASKMOVQ:
      return true; /* which bytes that are not written are looked at */
    case VM_OP_MOVSXD: /* AMD's reads four bytes, and would fault at the other two, for a 16-bit register too */
      return insn->opsize == 2 && (insn->flags & VM_INSN_MEM);
    case VM_OP_VPEXTRD: case VM_OP_VPINSRD:
      return t->bits != 64; /* VEX.W1 is ignored or undefined */
    case VM_OP_SHA1MSG1: case VM_OP_SHA1MSG2: case VM_OP_SHA1NEXTE: case VM_OP_SHA1RNDS4: case VM_OP_SHA256MSG1:
    case VM_OP_SHA256MSG2: case VM_OP_SHA256RNDS2:
      return insn->flags & VM_INSN_MEM; /* AMD's do not care about alignment */
    case VM_OP_LOOPE: case VM_OP_LOOPNE:
      return insn->flags & (VM_INSN_REP | VM_INSN_REPNE); /* some processors let the prefix choose the condition */
    default:
      return false;
    }
}

static bool
append_insn (Fuzz *z, Test *t, unsigned row)
{
  uint8_t buf[16] = { 0 };
  VmInsn *insn = &t->insn[t->n_insns];
  unsigned len;

  if (row)
    len = fuzz_make_insn (&z->random, row, t->bits, buf);
  else
    {
      vm_store_le64 (buf, fuzz_random (&z->random));
      vm_store_le64 (buf + 8, fuzz_random (&z->random));
      len = 15;
    }
  if (len == 0)
    return false;
  vm_insn_decode (buf, 15, t->bits, z->features, insn);
  if (insn->row && is_skipped (z, insn->row))
    return false;
  if ((!t->step && !may_run_free (insn)) || is_peculiar (t, insn) || t->undefined & vm_insn_flags_read (insn))
    return false;
  if ((t->loops || is_indirect_branch (insn))
      && (t->undefined_any | vm_insn_rows[insn->row].flags_undefined) & (t->flags_read | vm_insn_flags_read (insn)))
    return false;
  /* Segments that the host process has set up otherwise. */
  if (insn->seg >= VM_FS && (insn->flags & VM_INSN_SEGOV))
    return false;
  memcpy (t->bytes + t->len, buf, insn->len);
  fuzz_aim (&z->random, insn, t->bits, t->bytes + t->len, &t->state, t->step, write_both);
  vm_insn_decode (t->bytes + t->len, insn->len, t->bits, z->features, insn);
  t->len += insn->len;
  t->n_insns++;
  t->loops |= is_indirect_branch (insn); /* it may find back by chance */
  t->branches |= is_direct_branch (insn);
  /* What defines flags may be jumped over. */
  if (!t->branches && !(vm_insn_rows[insn->row].attrs & VM_ATTR_FCOND))
    t->undefined &= ~vm_insn_rows[insn->row].flags_written;
  t->undefined |= vm_insn_rows[insn->row].flags_undefined;
  t->undefined_any |= vm_insn_rows[insn->row].flags_undefined;
  t->flags_read |= vm_insn_flags_read (insn);
  return true;
}

/* Points the direct branches at instructions of the test or its end. */
static void
join_branches (Fuzz *z, Test *t)
{
  unsigned at[MAX_INSNS + 1] = { 0 };

  for (unsigned i = 0; i < t->n_insns; i++)
    at[i + 1] = at[i] + t->insn[i].len;
  for (unsigned i = 0; i < t->n_insns; i++)
    {
      VmInsn *insn = &t->insn[i];
      bool back = fuzz_chance (&z->random, 15) && !(t->undefined_any & t->flags_read);
      unsigned to = back ? fuzz_below (&z->random, i + 1) : i + 1 + fuzz_below (&z->random, t->n_insns - i);
      int32_t by = at[to] - at[i + 1];
      unsigned size = vm_row_match[insn->row].imm1 == IMM_BS ? 1 : insn->opsize == 2 ? 2 : 4;

      if (!is_direct_branch (insn))
        continue;
      t->loops |= back;
      memcpy (t->bytes + at[i + 1] - size, &by, size);
      vm_insn_decode (t->bytes + at[i], insn->len, t->bits, z->features, insn);
    }
}

static void
choose_place (Fuzz *z, Test *t)
{
  unsigned kind = fuzz_below (&z->random, 100);

  if (kind < 80 || !t->step)
    t->offset = 0x40 + fuzz_below (&z->random, 0x800);
  else if (kind < 97)
    t->offset = VM_PAGE_SIZE - fuzz_below (&z->random, 16);
  else
    t->offset = FUZZ_CODE_SIZE - 1 - fuzz_below (&z->random, 15);
  t->state.rip = (t->bits == 16 ? 0 : FUZZ_CODE) + t->offset;
}

static void
run_test (Fuzz *z, unsigned row, unsigned bits)
{
  Test t = { .bits = bits };
  FuzzOutcome host = { 0 }, guest = { 0 };
  unsigned want;

  t.step = z->engine->steps && fuzz_chance (&z->random, 70);
  want = t.step ? 1 : 1 + fuzz_below (&z->random, MAX_INSNS);
  fuzz_make_state (&z->random, bits, &t.state);
  if (!t.step)
    t.state.eflags &= ~(uint64_t) VM_AC;
  choose_place (z, &t);
  if (!append_insn (z, &t, row))
    return;
  /* AMD checks the alignment of 10, 16 and 32 bytes too. */
  if (vm_insn_rows[t.insn[0].row].attrs & (VM_ATTR_STATE_X87 | VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX))
    t.state.eflags &= ~(uint64_t) VM_AC;
  for (unsigned tries = 0; t.n_insns < want && tries < 20; tries++)
    append_insn (z, &t, 1 + fuzz_below (&z->random, vm_insn_n_rows - 1));

  if (!t.step)
    join_branches (z, &t);
  put_code (z, t.offset, t.bytes, t.len);
  if (z->trace)
    report (z, &t, "trace: to run", &host, &guest);
  run_guest (z, &t, t.step ? 100 : 2000, &guest);
  if (would_hit_host (&guest) || (!t.step && guest.vector < 0))
    {
      put_code (z, t.offset, NULL, t.len);
      equalize_memory (z->f);
      return;
    }
  native_run (bits, &t.state, t.step, 100, &host);
  put_code (z, t.offset, NULL, t.len);
  compare (z, &t, &host, &guest);
  z->tests++;
  for (unsigned i = 0; i < t.n_insns; i++)
    if (!(t.insn[i].flags & VM_INSN_UD))
      z->covered[bits >> 5][t.insn[i].row]++;
}

/* --- the program --------------------------------------------------------------------------------- */

typedef struct HostFeatures {
  char **flags;
  bool   amd;
} HostFeatures;

static bool
host_has (void *opaque, const char *name)
{
  const HostFeatures *h = opaque;
  static const char *const renamed[][2] = { { "sse4.1", "sse4_1" }, { "sse4.2", "sse4_2" }, { "sha-ni", "sha_ni" },
                                            { "lahf-lm", "lahf_lm" }, { "avx-vnni", "avx_vnni" },
                                            { "cr8legacy", "cr8_legacy" } };

  if (strncmp (name, "amd-", 4) == 0)
    return h->amd;
  if (strcmp (name, "intel-insns") == 0)
    return !h->amd;
  for (unsigned i = 0; i < G_N_ELEMENTS (renamed); i++)
    if (strcmp (name, renamed[i][0]) == 0)
      name = renamed[i][1];
  return g_strv_contains ((const char *const *) h->flags, name);
}

static VmInterp *
host_features (void)
{
  g_autofree char *text = NULL;
  HostFeatures h = { 0 };
  VmInterp *interp;
  char *line;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL) || !(line = strstr (text, "\nflags")))
    g_error ("/proc/cpuinfo is not readable");
  h.amd = strstr (text, "AuthenticAMD") || strstr (text, "HygonGenuine");
  h.flags = g_strsplit_set (strchr (line, ':') + 2, " \n", -1);
  interp = vm_interp_new (host_has, &h);
  g_strfreev (h.flags);
  return interp;
}

static VmFixture *
make_fixture (void)
{
  VmFixture *f = vm_fixture_new (4 * VM_MIB);

  vm_fixture_map (f, FUZZ_DATA, PHYS_DATA, FUZZ_READ_ONLY, VM_FIXTURE_WRITE);
  vm_fixture_map (f, FUZZ_DATA + FUZZ_READ_ONLY, PHYS_DATA + FUZZ_READ_ONLY, VM_PAGE_SIZE, 0);
  vm_fixture_map (f, FUZZ_DATA + FUZZ_HOLE + VM_PAGE_SIZE, PHYS_DATA + FUZZ_HOLE + VM_PAGE_SIZE,
                  FUZZ_DATA_SIZE - FUZZ_HOLE - VM_PAGE_SIZE, VM_FIXTURE_WRITE);
  vm_fixture_map (f, FUZZ_HIGH, PHYS_HIGH, FUZZ_HIGH_SIZE, VM_FIXTURE_WRITE);
  vm_fixture_map (f, FUZZ_CODE, PHYS_CODE, FUZZ_CODE_SIZE, VM_FIXTURE_EXECUTE);
  return f;
}

static void
print_coverage (const Fuzz *z)
{
  unsigned possible[3] = { 0 }, covered[3] = { 0 };

  for (unsigned row = 1; row < vm_insn_n_rows; row++)
    for (unsigned mode = 0; mode < 3; mode++)
      {
        const VmInsnRow *r = &vm_insn_rows[row];
        uint8_t not_there = mode == 2 ? 1 : 2;

        if (vm_row_match[row].mode == not_there || is_skipped (z, row) ||
            !(r->feature == VM_FEATURE_NONE || z->features[r->feature / 64] >> (r->feature % 64) & 1))
          continue;
        possible[mode]++;
        if (z->covered[mode][row])
          covered[mode]++;
        else if (!z->only && (z->tests > 200000 || z->trace))
          printf ("# not covered in %u-bit code: %s (row %u)\n", 16u << mode, r->mnemonic, row);
      }
  printf ("# %" G_GUINT64_FORMAT " tests, %" G_GUINT64_FORMAT " mismatches, %" G_GUINT64_FORMAT
          " differences in undefined flags\n", z->tests, z->mismatches, z->undefined);
  printf ("# forms covered: %u of %u in 16-bit, %u of %u in 32-bit, %u of %u in 64-bit code\n", covered[0], possible[0],
          covered[1], possible[1], covered[2], possible[2]);
}

static void
fuzz_loop (Fuzz *z, int64_t seconds, int64_t count)
{
  int64_t end = g_get_monotonic_time () + seconds * G_USEC_PER_SEC;
  uint64_t rounds = 0;

  while (z->mismatches < 20 && (count == 0 || z->tests < (uint64_t) count) &&
         (count || g_get_monotonic_time () < end))
    {
      unsigned bits = z->only_bits ? z->only_bits : 16 << fuzz_below (&z->random, 3);
      unsigned row = fuzz_chance (&z->random, 8) ? 0 : 1 + fuzz_below (&z->random, vm_insn_n_rows - 1);

      if (z->only)
        {
          do
            row = 1 + fuzz_below (&z->random, vm_insn_n_rows - 1);
          while (strcmp (vm_insn_rows[row].mnemonic, z->only) != 0);
        }
      if (row && is_skipped (z, row))
        continue;
      if (++rounds % 64 == 0)
        randomize_memory (z);
      run_test (z, row, bits);
    }
}

int
main (int argc, char **argv)
{
  int64_t seconds = 10, seed = 0, count = 0;
  int bits = 0;
  g_autofree char *engine = NULL;
  Fuzz z = { .engine = fuzz_engines[0] };
  gboolean integer_only = false, strict = false, trace = false;
  const GOptionEntry options[] = {
    { "seconds", 0, 0, G_OPTION_ARG_INT64, &seconds, "how long", "N" },
    { "count", 0, 0, G_OPTION_ARG_INT64, &count, "how many tests, instead", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random numbers; 0: the time", "N" },
    { "engine", 0, 0, G_OPTION_ARG_STRING, &engine, "interp or compiler", "NAME" },
    { "only", 0, 0, G_OPTION_ARG_STRING, &z.only, "forms of one mnemonic", "MNEMONIC" },
    { "bits", 0, 0, G_OPTION_ARG_INT, &bits, "16, 32 or 64", "N" },
    { "integer", 0, 0, G_OPTION_ARG_NONE, &integer_only, "no vector and x87 forms", NULL },
    { "strict", 0, 0, G_OPTION_ARG_NONE, &strict, "show differences in undefined flags", NULL },
    { "trace", 0, 0, G_OPTION_ARG_NONE, &trace, "show every test", NULL },
    { NULL }
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  VmInterp *interp;

  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return 2;
    }
  for (unsigned i = 0; engine && fuzz_engines[i]; i++)
    if (strcmp (fuzz_engines[i]->name, engine) == 0)
      z.engine = fuzz_engines[i];
  if (engine && strcmp (z.engine->name, engine) != 0)
    {
      fprintf (stderr, "there is no engine \"%s\"\n", engine);
      return 2;
    }
  if (!native_begin (&error))
    {
      /* Not every host or build can: 77 means skipped. */
      printf ("# skipped: %s\n", error->message);
      return 77;
    }
  if (seed == 0)
    seed = g_get_real_time ();
  printf ("# engine %s, seed %" G_GINT64_FORMAT "\n", z.engine->name, seed);
  fuzz_random_seed (&z.random, seed);
  z.only_bits = bits;
  z.integer_only = integer_only;
  z.strict = strict;
  z.trace = trace;
  interp = host_features ();
  z.features = interp->features;
  z.f = fixture = make_fixture ();
  vm_tcg_cpu (z.f->env)->interp = interp;
  for (unsigned i = 0; i < 3; i++)
    z.covered[i] = g_new0 (uint32_t, vm_insn_n_rows);
  if (z.engine->begin && !z.engine->begin (z.f, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return 2;
    }
  put_code (&z, 0, NULL, FUZZ_CODE_SIZE);
  fuzz_loop (&z, seconds, count);
  print_coverage (&z);
  if (z.engine->end)
    z.engine->end (z.f);
  for (unsigned i = 0; i < 3; i++)
    g_free (z.covered[i]);
  vm_fixture_free (z.f);
  vm_interp_free (interp);
  g_free (z.only);
  return z.mismatches ? 1 : 0;
}
