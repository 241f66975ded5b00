/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every vector, MMX and x87 form of the decode table: the interpreter's function against the host, with random
 * operands chosen for edges. Memory is the host's own; faults are signals there and raises here. */
#include "config.h"

#include "engine/tcg/decode/decode-private.h"
#include "engine/tcg/decode/ops.h"
#include "engine/tcg/fpu/fpu.h"
#include "engine/x86/xsave.h"
#include "tests/tcg-fpu/fake.h"
#include "tests/tcg-fpu/native.h"

#include <signal.h>

#define DATA_PAGES 2u
#define DATA_SIZE  (DATA_PAGES * VM_PAGE_SIZE)

typedef struct Fuzz {
  Native   *native;
  VmX86Cpu *cpu;
  GRand    *rand;
  uint64_t  counts, faults;
  unsigned  failures, max_failures;
} Fuzz;

static uint32_t
below (Fuzz *f, uint32_t n)
{
  return g_rand_int (f->rand) % n;
}

static uint64_t
random64 (Fuzz *f)
{
  return (uint64_t) g_rand_int (f->rand) << 32 | g_rand_int (f->rand);
}

static uint32_t
random_float (Fuzz *f)
{
  static const uint32_t edges[] = {
    0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 1,
    0x007fffff, 0x00800000, 0x80800001, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x3f000000, 0x3fc00000,
    0x40490fdb, 0x0d000000, 0x2f800000, 0x1f000001,
  };

  return below (f, 3) ? edges[below (f, G_N_ELEMENTS (edges))] : g_rand_int (f->rand);
}

static uint64_t
random_double (Fuzz *f)
{
  static const uint64_t edges[] = {
    0, UINT64_C (1) << 63, UINT64_C (0x3ff0000000000000), UINT64_C (0xbff0000000000000),
    UINT64_C (0x7ff0000000000000), UINT64_C (0xfff0000000000000), UINT64_C (0x7ff8000000000000),
    UINT64_C (0x7ff0000000000001), 1, UINT64_C (0x000fffffffffffff), UINT64_C (0x0010000000000000),
    UINT64_C (0x7fefffffffffffff), UINT64_C (0x41e0000000000000), UINT64_C (0xc1e0000000200000),
    UINT64_C (0x43e0000000000000), UINT64_C (0x3fe0000000000000), UINT64_C (0x36a0000000000000),
    UINT64_C (0x1ff0000000000001), UINT64_C (0x47efffffe0000000), UINT64_C (0x380fffffc0000000),
  };

  return below (f, 3) ? edges[below (f, G_N_ELEMENTS (edges))] : random64 (f);
}

static void
random_vector (Fuzz *f, uint8_t *p, unsigned len)
{
  unsigned kind = below (f, 4);

  for (unsigned i = 0; i + 8 <= len; i += 8)
    {
      uint64_t v = random64 (f);

      if (kind == 0)
        v = random_float (f) | (uint64_t) random_float (f) << 32;
      else if (kind == 1)
        v = random_double (f);
      else if (kind == 2)
        v &= random64 (f) & random64 (f);
      vm_store_le64 (p + i, v);
    }
}

static void
random_extended (Fuzz *f, uint8_t *p)
{
  static const uint16_t exponents[] = { 0, 0x7fff, 0x3fff, 0x3ffe, 0x4000, 0x403e, 0x403d, 0x3f80, 0x7ffe, 1, 0x401e };
  static const uint64_t significands[] = {
    0, UINT64_C (1) << 63, UINT64_C (0xc000000000000000), UINT64_MAX, UINT64_C (0x8000000000000001), 1,
    UINT64_C (0xa000000000000000), UINT64_C (0x4000000000000000), UINT64_C (0xffffff0000000000),
  };
  bool edge = below (f, 2);
  uint64_t s = edge ? significands[below (f, G_N_ELEMENTS (significands))] : random64 (f);
  uint16_t e = below (f, 2) ? exponents[below (f, G_N_ELEMENTS (exponents))] : 0x3fff + below (f, 128) - 64;

  if (below (f, 6) && e && s)
    s |= UINT64_C (1) << 63;
  vm_store_le64 (p, s);
  vm_store_le16 (p + 8, e | below (f, 2) << 15);
  memset (p + 10, 0, 6);
}

static void
random_state (Fuzz *f, NativeState *s)
{
  uint16_t fcw, fsw;
  uint32_t mxcsr;

  memset (s, 0, sizeof *s);
  for (unsigned i = 0; i < 16; i++)
    s->gpr[i] = below (f, 3) ? random64 (f) : random_double (f);
  s->flags = 0x202 | (g_rand_int (f->rand) & VM_ARITH_FLAGS);

  fcw = 0x40 | below (f, 4) << 10 | (below (f, 3) ? 0x3f : below (f, 64));
  fcw |= below (f, 2) ? 0x300 : below (f, 4) << 8;
  fsw = below (f, 8) << 11 | (g_rand_int (f->rand) & 0x4700) | (g_rand_int (f->rand) & fcw & 0x3f);
  vm_store_le16 (s->image, fcw);
  vm_store_le16 (s->image + 2, fsw);
  s->image[4] = below (f, 2) ? 0xff : below (f, 256);
  for (unsigned i = 0; i < 8; i++)
    random_extended (f, s->image + 32 + 16 * i);

  mxcsr = 0x1f80 | below (f, 4) << 13 | (below (f, 4) == 0) << 15 | (below (f, 4) == 0) << 6 | below (f, 64);
  if (below (f, 3) == 0)
    mxcsr = (mxcsr & ~0x1f80u) | below (f, 64) << 7;
  vm_store_le32 (s->image + 24, mxcsr);
  random_vector (f, s->image + 160, 256);
  random_vector (f, s->image + 576, 256);
  vm_store_le64 (s->image + 512, 7);
}

/* A memory operand: which register, and the address it shall have. */
typedef struct Bytes {
  uint8_t  b[15];
  unsigned len;
  int      base, vector_index;
  int32_t  disp;
} Bytes;

static unsigned
random_gpr (Fuzz *f)
{
  unsigned r = below (f, 16);

  return r == VM_RSP ? VM_RBX : r;
}

static bool
has_kind (const VmInsnRow *row, const char *kinds)
{
  static const struct { char letter; uint8_t kind; } map[] = {
    { 'E', VM_OPND_E }, { 'G', VM_OPND_G }, { 'M', VM_OPND_M }, { 'R', VM_OPND_R }, { 'W', VM_OPND_W },
    { 'U', VM_OPND_U }, { 'Q', VM_OPND_Q }, { 'N', VM_OPND_N }, { 'H', VM_OPND_H },
  };

  for (unsigned i = 0; i < row->n_operands; i++)
    for (unsigned k = 0; k < G_N_ELEMENTS (map); k++)
      if (row->operand[i].kind == map[k].kind && strchr (kinds, map[k].letter))
        return true;
  return false;
}

static Bytes
random_bytes (Fuzz *f, unsigned number)
{
  const VmInsnRow *row = &vm_insn_rows[number];
  const VmRowMatch *m = &vm_row_match[number];
  static const uint8_t prefix_byte[] = { [VM_PREFIX_66] = 0x66, [VM_PREFIX_F3] = 0xf3, [VM_PREFIX_F2] = 0xf2 };
  static const uint8_t pp[] = { [VM_PREFIX_66] = 1, [VM_PREFIX_F3] = 2, [VM_PREFIX_F2] = 3 };
  unsigned reg = random_gpr (f), rm = random_gpr (f), vvvv = below (f, 16), w, l;
  bool mem = m->mod == 1 || (m->mod == 0 && below (f, 2)), vsib = row->attrs & VM_ATTR_VSIB;
  Bytes b = { .base = -1, .vector_index = -1 };
  uint8_t *p = b.b, rex;

  w = m->w ? m->w - 1 : row->enc & VM_ENC_SIZED ? below (f, 2) : 0;
  l = m->l ? m->l - 1 : below (f, 2);
  if (m->reg != 255)
    reg = m->reg;
  if (m->rm != 255)
    rm = m->rm;
  if (mem)
    {
      b.base = rm;
      b.vector_index = vsib ? below (f, 16) : -1;
      b.disp = below (f, 3) ? 0 : below (f, 64);
    }
  rex = w << 3 | (reg & 8 ? 4 : 0) | (b.vector_index >= 8 ? 2 : 0) | (rm & 8 ? 1 : 0);
  if (row->enc & VM_ENC_VEX)
    {
      *p++ = 0xc4;
      *p++ = (~rex & 7) << 5 | row->map;
      *p++ = w << 7 | (has_kind (row, "H") ? ~vvvv & 15 : 15) << 3 | l << 2 | pp[row->prefix];
    }
  else
    {
      if (prefix_byte[row->prefix])
        *p++ = prefix_byte[row->prefix];
      if (rex)
        *p++ = 0x40 | rex;
      if (row->map)
        *p++ = 0x0f;
      if (row->map >= 2)
        *p++ = row->map == 2 ? 0x38 : 0x3a;
    }
  *p++ = m->opcode;
  if (row->enc & VM_ENC_MODRM)
    {
      *p++ = (mem ? 0x80 : 0xc0) | (reg & 7) << 3 | (vsib ? 4 : rm & 7);
      if (vsib)
        *p++ = below (f, 4) << 6 | (b.vector_index & 7) << 3 | (rm & 7);
      else if (mem && (rm & 7) == 4)
        *p++ = 0x24;
      if (mem)
        {
          vm_store_le32 (p, b.disp);
          p += 4;
        }
    }
  if (row->imm != VM_IMM_NONE)
    *p++ = below (f, 256);
  if (row->imm == VM_IMM_BB)
    *p++ = below (f, 256);
  b.len = p - b.b;
  return b;
}

static void
state_to_env (const NativeState *s, VmX86Env *env)
{
  memcpy (env->gpr, s->gpr, sizeof env->gpr);
  env->eflags = s->flags;
  g_assert_true (vm_xsave_load (env, s->image, 7));
}

/* Where the data lies that the instruction will touch; often misaligned by little or up to the hole. */
static uint64_t
choose_address (Fuzz *f, const VmInsnRow *row)
{
  uint64_t start = (uintptr_t) native_data (f->native);
  unsigned offset = 64 * below (f, 60);

  if (below (f, 6) == 0)
    offset += below (f, 32);
  if (below (f, 24) == 0)
    offset = DATA_SIZE - below (f, 80);
  return start + offset;
}

static void
prepare (Fuzz *f, const VmInsnRow *row, const Bytes *b, NativeState *s)
{
  uint64_t address = choose_address (f, row);

  if (b->base >= 0)
    s->gpr[b->base] = address - b->disp;
  if (row->op == VM_OP_MASKMOVQ || row->op == VM_OP_MASKMOVDQU || row->op == VM_OP_VMASKMOVDQU)
    s->gpr[VM_RDI] = address;
  if (b->vector_index >= 0)
    for (unsigned half = 0; half < 2; half++)
      for (unsigned i = 0; i < 4; i++)
        {
          uint8_t *p = s->image + (half ? 576 : 160) + 16 * b->vector_index + 4 * i;
          bool q = vm_insn_rows[0].op == row->op ? false : strstr (row->mnemonic, "gatherq") != NULL;
          int32_t v = below (f, 20) == 0 ? 100000 : (int32_t) below (f, 64) - 32;

          vm_store_le32 (p, q && i & 1 ? (vm_load_le32 (p - 4) >> 31 ? 0xffffffff : 0) : (uint32_t) v);
        }
  if (row->op == VM_OP_LDMXCSR)
    for (unsigned i = 0; i + 4 <= DATA_SIZE; i += 4)
      vm_store_le32 (native_data (f->native) + i, below (f, 8) ? g_rand_int (f->rand) & 0xffff : 0x40000);
  else if (row->attrs & VM_ATTR_STATE_X87 && below (f, 2))
    for (unsigned i = 0; i + 16 <= DATA_SIZE; i += 16)
      random_extended (f, native_data (f->native) + i);
  else
    random_vector (f, native_data (f->native), DATA_SIZE);
}

typedef struct Outcome {
  int signal;   /* as the host would */
  NativeState state;
  uint8_t data[DATA_SIZE];
} Outcome;

static void
run_ours (Fuzz *f, const VmInsn *insn, const NativeState *before, Outcome *out)
{
  VmX86Env *env = &f->cpu->env;
  int vector;

  state_to_env (before, env);
  env->rip = 0x1000;
  vector = fake_run (env, insn);
  out->signal = vector < 0 ? 0 : vector == VM_EXC_UD ? SIGILL : vector == VM_EXC_XM || vector == VM_EXC_MF ? SIGFPE
                                                                                                        : SIGSEGV;
  memcpy (out->state.gpr, env->gpr, sizeof env->gpr);
  out->state.flags = env->eflags;
  vm_xsave_store (env, out->state.image, 7);
  memcpy (out->data, native_data (f->native), DATA_SIZE);
}

/* What is not compared: instruction and operand pointers, and tags' image byte 5. */
static void
neutralise (const VmInsnRow *row, Outcome *o, const NativeState *before)
{
  uint8_t *image = o->state.image;

  memset (image + 5, 0, 19);
  memset (image + 28, 0, 4);
  memset (image + 416, 0, 160);
  o->state.gpr[VM_RSP] = before->gpr[VM_RSP];
  o->state.flags &= VM_ARITH_FLAGS & ~(uint64_t) row->flags_undefined;
  for (unsigned i = 0; i < 8; i++)
    memset (image + 32 + 16 * i + 10, 0, 6);
}

static void
neutralise_area (const VmInsnRow *row, const VmInsn *insn, const NativeState *before, Outcome *o, uint8_t *start)
{
  uint64_t offset = before->gpr[insn->base & 15] + insn->disp - (uintptr_t) start;
  bool env_form = row->op == VM_OP_FNSTENV || row->op == VM_OP_FNSAVE, fx = row->op == VM_OP_FXSAVE;

  if (offset > DATA_SIZE - 600)
    return;
  if (env_form)
    memset (o->data + offset + 12, 0, 16);
  if (fx)
    {
      memset (o->data + offset + 5, 0, 19);
      memset (o->data + offset + 28, 0, 4);
    }
}

static void
report (const VmInsn *insn, const Bytes *b, const NativeState *before, const Outcome *host, const Outcome *ours)
{
  char text[128];
  GString *s = g_string_new (NULL);

  vm_insn_format (insn, 0, text, sizeof text);
  for (unsigned i = 0; i < b->len; i++)
    g_string_append_printf (s, "%02x", b->b[i]);
  g_string_append_printf (s, "  %s  (row %u): signal host %d ours %d\n", text, insn->row, host->signal, ours->signal);
  g_string_append_printf (s, "  fcw %04x fsw %04x ftw %02x mxcsr %04x\n", vm_load_le16 (before->image),
                          vm_load_le16 (before->image + 2), before->image[4], vm_load_le32 (before->image + 24));
  for (unsigned i = 0; i < 16; i++)
    if (host->state.gpr[i] != ours->state.gpr[i])
      g_string_append_printf (s, "  gpr%u before %016lx host %016lx ours %016lx\n", i, before->gpr[i],
                              host->state.gpr[i], ours->state.gpr[i]);
  if (host->state.flags != ours->state.flags)
    g_string_append_printf (s, "  flags host %lx ours %lx\n", host->state.flags, ours->state.flags);
  for (unsigned i = 0; i < NATIVE_XSAVE; i += 2)
    if (memcmp (host->state.image + i, ours->state.image + i, 2))
      g_string_append_printf (s, "  image+%u before %04x host %04x ours %04x\n", i, vm_load_le16 (before->image + i),
                              vm_load_le16 (host->state.image + i), vm_load_le16 (ours->state.image + i));
  for (unsigned i = 0; i < DATA_SIZE; i++)
    if (host->data[i] != ours->data[i])
      {
        g_string_append_printf (s, "  data+%u host %02x ours %02x\n", i, host->data[i], ours->data[i]);
        break;
      }
  g_printerr ("%s", s->str);
  g_string_free (s, TRUE);
}

/* AMD's processors do not check the alignment of SHA operands that the manuals demand, and have an MXCSR bit more;
 * whether bytes that a mask leaves out may fault is open. */
static bool
is_model_specific (const VmInsnRow *row, int host, int ours)
{
  if (row->feature == VM_FEATURE_SHA_NI || row->op == VM_OP_LDMXCSR || row->op == VM_OP_VLDMXCSR)
    return host == 0 && ours == SIGSEGV;
  return host == SIGSEGV && (row->op == VM_OP_MASKMOVQ || row->op == VM_OP_MASKMOVDQU || row->op == VM_OP_VMASKMOVDQU);
}

static void
fuzz_one (Fuzz *f, unsigned number)
{
  const VmInsnRow *row = &vm_insn_rows[number];
  Bytes b = random_bytes (f, number);
  static Outcome host, ours; /* large */
  static uint8_t saved[DATA_SIZE];
  uint8_t *data = native_data (f->native);
  NativeState before;
  VmInsn insn;

  memset (&insn, 0, sizeof insn);
  random_state (f, &before);
  if (vm_insn_decode (b.b, b.len, 64, NULL, &insn) != b.len || insn.flags & VM_INSN_UD || insn.row != number)
    return; /* another row's narrower form; #UD cases belong to the decoder's tests */
  prepare (f, row, &b, &before);
  memcpy (saved, data, DATA_SIZE);
  host.state = before;
  host.signal = native_run (f->native, b.b, b.len, &host.state);
  memcpy (host.data, data, DATA_SIZE);
  memcpy (data, saved, DATA_SIZE);
  if (host.signal == SIGILL && !fake_host_has (row->feature))
    return;
  run_ours (f, &insn, &before, &ours);
  if (is_model_specific (row, host.signal, ours.signal))
    return;
  f->counts++;
  f->faults += host.signal != 0;
  neutralise (row, &host, &before);
  neutralise (row, &ours, &before);
  /* Which flags come with an unmasked exception: whether an overflow or underflow was inexact besides, and in which
   * step of a dot product it happened, a masked run does not tell. */
  if (host.signal == SIGFPE && ours.signal == SIGFPE &&
      ((vm_load_le32 (before.image + 24) & 0xc00) != 0xc00 || strstr (row->mnemonic, "dpp")))
    memcpy (ours.state.image + 24, host.state.image + 24, 4);
  if (insn.flags & VM_INSN_MEM)
    {
      neutralise_area (row, &insn, &before, &host, data);
      neutralise_area (row, &insn, &before, &ours, data);
    }
  if (host.signal != ours.signal || memcmp (host.state.gpr, ours.state.gpr, sizeof host.state.gpr) ||
      host.state.flags != ours.state.flags || memcmp (host.state.image, ours.state.image, NATIVE_XSAVE) ||
      memcmp (host.data, ours.data, DATA_SIZE))
    {
      if (f->failures++ < f->max_failures)
        report (&insn, &b, &before, &host, &ours);
    }
}

static bool
is_compared (const VmInsnRow *row)
{
  unsigned states = VM_ATTR_STATE_X87 | VM_ATTR_STATE_MMX | VM_ATTR_STATE_SSE | VM_ATTR_STATE_AVX;

  return row->attrs & states && row->op != VM_OP_FXRSTOR;
}

int
main (int argc, char **argv)
{
  unsigned rounds = argc > 1 ? atoi (argv[1]) : 40, seed = argc > 2 ? atoi (argv[2]) : 1, forms = 0;
  const char *only = argc > 3 ? argv[3] : NULL;
  Fuzz f = { .native = native_new (DATA_PAGES), .cpu = fake_cpu_new (), .rand = g_rand_new_with_seed (seed),
             .max_failures = 8 };

  if (!__builtin_cpu_supports ("avx"))
    {
      g_print ("1..0 # SKIP host without AVX\n");
      return 0;
    }
  fake_set_memory ((uintptr_t) native_data (f.native), DATA_SIZE);
  for (unsigned i = 1; i < vm_insn_n_rows; i++)
    {
      unsigned before = f.failures;
      uint64_t counts = f.counts;

      if (!is_compared (&vm_insn_rows[i]) || (only && !g_str_has_prefix (vm_insn_rows[i].mnemonic, only)))
        continue;
      for (unsigned k = 0; k < rounds; k++)
        fuzz_one (&f, i);
      if (f.failures > before)
        {
          g_printerr ("# row %u %s: %u of %u differ\n", i, vm_insn_rows[i].mnemonic, f.failures - before,
                      (unsigned) (f.counts - counts));
          f.max_failures = f.failures + 2;
        }
      forms += f.counts > counts;
    }
  g_print ("1..1\n# %u forms, %" G_GUINT64_FORMAT " instructions, %" G_GUINT64_FORMAT " faults, %u differ\n", forms,
           f.counts, f.faults, f.failures);
  g_print ("%s 1 - native comparison\n", f.failures ? "not ok" : "ok");
  g_rand_free (f.rand);
  fake_cpu_free (f.cpu);
  native_free (f.native);
  return f.failures != 0;
}
