/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FXSAVE, FXRSTOR and the XSAVE family (Intel SDM vol. 1, sections 10.5 and 13.7 to 13.12). */
#include "config.h"

#include "engine/tcg/fpu/fpu-private.h"
#include "engine/x86/xsave.h"

enum { LEGACY_MXCSR = 24, LEGACY_XMM = 160, HEADER = 512 };

static unsigned
vector_registers (const VmX86Env *env)
{
  return env->mode & VM_MODE_CS64 ? 16 : 8;
}

/* Parts of an area in guest memory, so that what lies between them is left alone. All are probed before the
 * first byte is written. */
typedef struct Piece {
  uint16_t    offset, len;
  const void *data;
} Piece;

static void
store_pieces (VmX86Env *env, uint64_t linear, const Piece *pieces, unsigned n)
{
  unsigned ctx = vm_tlb_context (env);

  for (unsigned i = 0; i < n; i++)
    vm_mmu_probe_write (env, linear + pieces[i].offset, pieces[i].len, ctx);
  for (unsigned i = 0; i < n; i++)
    for (unsigned k = 0; k < pieces[i].len; k += 32)
      vm_mmu_store_bytes (env, linear + pieces[i].offset + k, (const uint8_t *) pieces[i].data + k,
                          MIN (pieces[i].len - k, 32), ctx);
}

static void
load_bytes (VmX86Env *env, uint64_t linear, uint8_t *buf, unsigned len)
{
  for (unsigned i = 0; i < len; i += 32)
    vm_mmu_load_bytes (env, linear + i, buf + i, MIN (len - i, 32), vm_tlb_context (env));
}

static uint64_t
area_linear (VmX86Env *env, const VmInsn *insn, unsigned len, unsigned align, unsigned access)
{
  uint64_t linear = vm_insn_linear (env, insn, len, access);

  if (linear & (align - 1))
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  return linear;
}

/* AMD's fast FXSAVE leaves the vector registers out. */
static bool
fast_fxsr (const VmX86Env *env)
{
  return env->efer & VM_EFER_FFXSR && env->mode & VM_MODE_CS64 && vm_x86_cpl (env) == 0;
}

void
vm_op_fxsave (VmX86Env *env, const VmInsn *insn)
{
  uint64_t linear = area_linear (env, insn, VM_XSAVE_LEGACY, 16, VM_ACCESS_WRITE);
  unsigned n = fast_fxsr (env) ? 0 : vector_registers (env);
  uint8_t image[VM_XSAVE_LEGACY];
  Piece whole = { 0, LEGACY_XMM + 16 * n, image };

  vm_fxsave_store (env, image, insn->flags & VM_INSN_REXW, n);
  store_pieces (env, linear, &whole, 1);
}

void
vm_op_fxrstor (VmX86Env *env, const VmInsn *insn)
{
  uint64_t linear = area_linear (env, insn, VM_XSAVE_LEGACY, 16, VM_ACCESS_READ);
  uint8_t image[VM_XSAVE_LEGACY];
  uint32_t mxcsr;

  load_bytes (env, linear, image, sizeof image);
  mxcsr = vm_load_le32 (image + LEGACY_MXCSR);
  if (mxcsr & ~MXCSR_VALID)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  vm_fxsave_load_x87 (env, image, insn->flags & VM_INSN_REXW);
  env->fx.mxcsr = mxcsr;
  if (!fast_fxsr (env))
    vm_fxsave_load_xmm (env, image, vector_registers (env));
  vm_fpu_update_ferr (env);
}

/* Requested features, after the checks all XSAVE instructions make. */
static uint64_t
requested (VmX86Env *env, bool supervisor)
{
  uint64_t mask = env->gpr[VM_RDX] << 32 | (uint32_t) env->gpr[VM_RAX];

  if (!(env->cr4 & VM_CR4_OSXSAVE))
    vm_x86_raise (env, VM_EXC_UD);
  if (env->mode & VM_MODE_TS)
    vm_x86_raise (env, VM_EXC_NM);
  return mask & (env->xcr0 | (supervisor ? env->xss : 0)) & VM_XSTATE_ALL;
}

/* The pieces of components WRITTEN, in the format given by XCOMP_BV (0: standard). IMAGE holds the legacy
 * part, AVX the upper halves. */
static unsigned
add_components (VmX86Env *env, Piece *pieces, uint64_t written, uint64_t xcomp_bv, bool with_mxcsr,
                const uint8_t *image, const uint8_t *avx)
{
  unsigned n = 0, vectors = vector_registers (env);

  if (written & VM_XSTATE_X87)
    {
      pieces[n++] = (Piece) { 0, LEGACY_MXCSR, image };
      pieces[n++] = (Piece) { 32, 128, image + 32 };
    }
  if (with_mxcsr)
    pieces[n++] = (Piece) { LEGACY_MXCSR, 8, image + LEGACY_MXCSR };
  if (written & VM_XSTATE_SSE)
    pieces[n++] = (Piece) { LEGACY_XMM, 16 * vectors, image + LEGACY_XMM };
  if (written & VM_XSTATE_AVX)
    pieces[n++] = (Piece) { xcomp_bv ? vm_xsave_compacted_offset (2, xcomp_bv) : vm_xsave_component_offset (2),
                            16 * vectors, avx };
  if (written & VM_XSTATE_PKRU)
    pieces[n++] = (Piece) { xcomp_bv ? vm_xsave_compacted_offset (9, xcomp_bv) : vm_xsave_component_offset (9),
                            4, &env->pkru };
  return n;
}

static void
pack (const VmX86Env *env, const VmInsn *insn, uint8_t *image, uint8_t *avx)
{
  vm_fxsave_store (env, image, insn->flags & VM_INSN_REXW, 16);
  for (unsigned i = 0; i < 16; i++)
    memcpy (avx + 16 * i, env->ymm[i].b + 16, 16);
}

static void
save_standard (VmX86Env *env, const VmInsn *insn, bool optimized)
{
  uint64_t mask = requested (env, false), used = vm_xsave_in_use (env, false), xstate_bv;
  uint64_t linear = area_linear (env, insn, vm_xsave_size (mask, false), 64, VM_ACCESS_WRITE);
  uint8_t image[VM_XSAVE_LEGACY], avx[256];
  Piece pieces[8];
  unsigned n;

  pack (env, insn, image, avx);
  n = add_components (env, pieces, optimized ? mask & used : mask, 0, mask & (VM_XSTATE_SSE | VM_XSTATE_AVX),
                      image, avx);
  xstate_bv = vm_mmu_load (env, linear + HEADER, 8, vm_tlb_context (env));
  xstate_bv = (xstate_bv & ~mask) | (mask & used);
  pieces[n++] = (Piece) { HEADER, 8, &xstate_bv };
  store_pieces (env, linear, pieces, n);
}

void
vm_op_xsave (VmX86Env *env, const VmInsn *insn)
{
  save_standard (env, insn, false);
}

void
vm_op_xsaveopt (VmX86Env *env, const VmInsn *insn)
{
  save_standard (env, insn, true);
}

static void
save_compacted (VmX86Env *env, const VmInsn *insn, bool supervisor)
{
  uint64_t mask = requested (env, supervisor), written = mask & vm_xsave_in_use (env, true);
  uint64_t linear = area_linear (env, insn, vm_xsave_size (mask, true), 64, VM_ACCESS_WRITE);
  uint64_t header[2] = { written, mask | VM_XSAVE_COMPACTED };
  uint8_t image[VM_XSAVE_LEGACY], avx[256];
  Piece pieces[8];
  unsigned n;

  pack (env, insn, image, avx);
  n = add_components (env, pieces, written, header[1], written & VM_XSTATE_SSE, image, avx);
  pieces[n++] = (Piece) { HEADER, 16, header };
  store_pieces (env, linear, pieces, n);
}

void
vm_op_xsavec (VmX86Env *env, const VmInsn *insn)
{
  save_compacted (env, insn, false);
}

void
vm_op_xsaves (VmX86Env *env, const VmInsn *insn)
{
  save_compacted (env, insn, true);
}

typedef struct Restore {
  uint64_t mask;      /* requested */
  uint64_t xstate_bv, xcomp_bv;
  uint32_t mxcsr;
  uint8_t  image[VM_XSAVE_LEGACY], avx[256];
  uint32_t pkru;
} Restore;

static bool
is_zero (const uint8_t *p, unsigned len)
{
  while (len > 0 && p[len - 1] == 0)
    len--;
  return len == 0;
}

static void
read_header (VmX86Env *env, Restore *r, uint64_t linear, uint64_t allowed)
{
  uint8_t header[64];
  bool bad;

  load_bytes (env, linear + HEADER, header, sizeof header);
  r->xstate_bv = vm_load_le64 (header);
  r->xcomp_bv = vm_load_le64 (header + 8);
  if (r->xcomp_bv & VM_XSAVE_COMPACTED)
    bad = r->xcomp_bv & ~(allowed | VM_XSAVE_COMPACTED) || r->xstate_bv & ~r->xcomp_bv || !is_zero (header + 16, 48);
  else
    bad = r->xstate_bv & ~allowed || !is_zero (header + 8, 16);
  if (bad)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
}

/* Everything is read and checked before anything is loaded. */
static void
read_components (VmX86Env *env, Restore *r, uint64_t linear)
{
  uint64_t present = r->mask & r->xstate_bv, compact = r->xcomp_bv;
  bool wants_mxcsr = compact ? present & VM_XSTATE_SSE : r->mask & (VM_XSTATE_SSE | VM_XSTATE_AVX);

  r->mxcsr = !compact || r->mask & VM_XSTATE_SSE ? MXCSR_DEFAULT : env->fx.mxcsr;
  if (present & VM_XSTATE_X87)
    {
      load_bytes (env, linear, r->image, LEGACY_MXCSR);
      load_bytes (env, linear + 32, r->image + 32, 128);
    }
  if (wants_mxcsr)
    r->mxcsr = vm_mmu_load (env, linear + LEGACY_MXCSR, 4, vm_tlb_context (env));
  else if (!compact)
    r->mxcsr = env->fx.mxcsr;
  if (present & VM_XSTATE_SSE)
    load_bytes (env, linear + LEGACY_XMM, r->image + LEGACY_XMM, 16 * vector_registers (env));
  if (present & VM_XSTATE_AVX)
    load_bytes (env, linear + (compact ? vm_xsave_compacted_offset (2, compact) : vm_xsave_component_offset (2)),
                r->avx, 16 * vector_registers (env));
  if (present & VM_XSTATE_PKRU)
    r->pkru = vm_mmu_load (env, linear + (compact ? vm_xsave_compacted_offset (9, compact)
                                                  : vm_xsave_component_offset (9)), 4, vm_tlb_context (env));
  if (r->mxcsr & ~MXCSR_VALID)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
}

static void
commit_restore (VmX86Env *env, const VmInsn *insn, const Restore *r)
{
  uint64_t present = r->mask & r->xstate_bv;
  unsigned n = vector_registers (env);
  uint32_t pkru = env->pkru;

  vm_xsave_init (env, r->mask & ~r->xstate_bv, n);
  if (present & VM_XSTATE_X87)
    vm_fxsave_load_x87 (env, r->image, insn->flags & VM_INSN_REXW);
  if (present & VM_XSTATE_SSE)
    vm_fxsave_load_xmm (env, r->image, n);
  if (present & VM_XSTATE_AVX)
    for (unsigned i = 0; i < n; i++)
      memcpy (env->ymm[i].b + 16, r->avx + 16 * i, 16);
  if (present & VM_XSTATE_PKRU)
    env->pkru = r->pkru;
  env->fx.mxcsr = r->mxcsr;
  if (r->mask & VM_XSTATE_X87)
    vm_fpu_update_ferr (env);
  if (env->pkru != pkru)
    vm_tlb_flush_l1 (env);
}

static void
restore (VmX86Env *env, const VmInsn *insn, bool supervisor)
{
  Restore r = { .mask = requested (env, supervisor) };
  uint64_t allowed = env->xcr0 | (supervisor ? env->xss : 0);
  uint64_t linear = area_linear (env, insn, HEADER + 64, 64, VM_ACCESS_READ);

  read_header (env, &r, linear, allowed);
  if (supervisor && !(r.xcomp_bv & VM_XSAVE_COMPACTED))
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  area_linear (env, insn, vm_xsave_size (r.xcomp_bv ? r.xcomp_bv & ~VM_XSAVE_COMPACTED : r.mask, r.xcomp_bv != 0),
               64, VM_ACCESS_READ);
  read_components (env, &r, linear);
  commit_restore (env, insn, &r);
}

void
vm_op_xrstor (VmX86Env *env, const VmInsn *insn)
{
  restore (env, insn, false);
}

void
vm_op_xrstors (VmX86Env *env, const VmInsn *insn)
{
  restore (env, insn, true);
}
