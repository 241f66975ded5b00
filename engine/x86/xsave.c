/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FXSAVE and XSAVE images of the register state (Intel SDM vol. 1, section 10.5 and chapter 13). */
#include "config.h"

#include "engine/x86/xsave.h"

enum { IMAGE_MXCSR = 24, IMAGE_ST = 32, IMAGE_XMM = 160, IMAGE_XSTATE_BV = 512, IMAGE_XCOMP_BV = 520,
       IMAGE_EXTENDED = 576, IMAGE_AVX = 576, IMAGE_PKRU = 832 };
enum { MXCSR_DEFAULT = 0x1f80, MXCSR_MASK = 0xffff, FCW_DEFAULT = 0x37f };

unsigned
vm_xsave_component_size (unsigned component)
{
  return component == 2 ? 256 : component == 9 ? 8 : 0;
}

unsigned
vm_xsave_component_offset (unsigned component)
{
  return component == 2 ? IMAGE_AVX : component == 9 ? IMAGE_PKRU : 0;
}

unsigned
vm_xsave_compacted_offset (unsigned component, uint64_t xcomp_bv)
{
  unsigned offset = IMAGE_EXTENDED;

  for (unsigned i = 2; i < component; i++)
    if (xcomp_bv >> i & 1)
      offset += vm_xsave_component_size (i);
  return offset;
}

unsigned
vm_xsave_size (uint64_t mask, bool compacted)
{
  unsigned size = IMAGE_EXTENDED;

  for (unsigned i = 2; i < 63; i++)
    if (mask >> i & 1)
      {
        if (compacted)
          size += vm_xsave_component_size (i);
        else
          size = MAX (size, vm_xsave_component_offset (i) + vm_xsave_component_size (i));
      }
  return size;
}

static bool
is_zero (const void *p, size_t len)
{
  const uint8_t *b = p;

  for (size_t i = 0; i < len; i++)
    if (b[i])
      return false;
  return true;
}

uint64_t
vm_xsave_in_use (const VmX86Env *env, bool with_mxcsr)
{
  const VmX86Fx *fx = &env->fx;
  uint64_t mask = 0;

  if (fx->fcw != FCW_DEFAULT || fx->fsw || fx->ftw || fx->fop || fx->fip || fx->fdp ||
      !is_zero (fx->st, sizeof fx->st))
    mask |= VM_XSTATE_X87;
  if (with_mxcsr && fx->mxcsr != MXCSR_DEFAULT)
    mask |= VM_XSTATE_SSE;
  for (unsigned i = 0; i < 16; i++)
    {
      if (env->ymm[i].q[0] | env->ymm[i].q[1])
        mask |= VM_XSTATE_SSE;
      if (env->ymm[i].q[2] | env->ymm[i].q[3])
        mask |= VM_XSTATE_AVX;
    }
  if (env->pkru)
    mask |= VM_XSTATE_PKRU;
  return mask;
}

void
vm_xsave_init (VmX86Env *env, uint64_t mask, unsigned n_vectors)
{
  VmX86Fx *fx = &env->fx;

  if (mask & VM_XSTATE_X87)
    {
      fx->fcw = FCW_DEFAULT;
      fx->fsw = fx->fop = 0;
      fx->ftw = 0;
      fx->fip = fx->fdp = 0;
      memset (fx->st, 0, sizeof fx->st);
    }
  for (unsigned i = 0; i < n_vectors; i++)
    {
      if (mask & VM_XSTATE_SSE)
        env->ymm[i].q[0] = env->ymm[i].q[1] = 0;
      if (mask & VM_XSTATE_AVX)
        env->ymm[i].q[2] = env->ymm[i].q[3] = 0;
    }
  if (mask & VM_XSTATE_PKRU)
    env->pkru = 0;
}

void
vm_x87_set_top (VmX86Fx *fx, unsigned top)
{
  unsigned old = fx->fsw >> 11 & 7;
  uint8_t st[8][16];

  if (old == top)
    return;
  for (unsigned i = 0; i < 8; i++)
    memcpy (st[(i + old - top) & 7], fx->st[i], 16);
  memcpy (fx->st, st, sizeof st);
  fx->fsw = (fx->fsw & ~(7 << 11)) | top << 11;
}

void
vm_x87_update_summary (VmX86Fx *fx)
{
  bool error = fx->fsw & ~fx->fcw & 0x3f;

  fx->fsw = (fx->fsw & 0x7f7f) | (error ? 0x8080 : 0);
}

void
vm_fxsave_store (const VmX86Env *env, uint8_t *image, bool wide, unsigned n_vectors)
{
  const VmX86Fx *fx = &env->fx;

  vm_store_le16 (image, fx->fcw);
  vm_store_le16 (image + 2, fx->fsw);
  image[4] = fx->ftw;
  image[5] = 0;
  vm_store_le16 (image + 6, fx->fop);
  vm_store_le64 (image + 8, wide ? fx->fip : (uint32_t) fx->fip);
  vm_store_le64 (image + 16, wide ? fx->fdp : (uint32_t) fx->fdp);
  vm_store_le32 (image + IMAGE_MXCSR, fx->mxcsr);
  vm_store_le32 (image + IMAGE_MXCSR + 4, MXCSR_MASK);
  for (unsigned i = 0; i < 8; i++)
    {
      memcpy (image + IMAGE_ST + 16 * i, fx->st[i], 10);
      memset (image + IMAGE_ST + 16 * i + 10, 0, 6);
    }
  for (unsigned i = 0; i < n_vectors; i++)
    memcpy (image + IMAGE_XMM + 16 * i, env->ymm[i].b, 16);
}

void
vm_fxsave_load_x87 (VmX86Env *env, const uint8_t *image, bool wide)
{
  VmX86Fx *fx = &env->fx;

  fx->fcw = (vm_load_le16 (image) & 0x1f3f) | 0x40;
  fx->fsw = vm_load_le16 (image + 2);
  fx->ftw = image[4];
  fx->fop = vm_load_le16 (image + 6) & 0x7ff;
  fx->fip = wide ? vm_load_le64 (image + 8) : vm_load_le32 (image + 8);
  fx->fdp = wide ? vm_load_le64 (image + 16) : vm_load_le32 (image + 16);
  for (unsigned i = 0; i < 8; i++)
    memcpy (fx->st[i], image + IMAGE_ST + 16 * i, 10);
  vm_x87_update_summary (fx);
}

void
vm_fxsave_load_xmm (VmX86Env *env, const uint8_t *image, unsigned n_vectors)
{
  for (unsigned i = 0; i < n_vectors; i++)
    memcpy (env->ymm[i].b, image + IMAGE_XMM + 16 * i, 16);
}

void
vm_xsave_store (const VmX86Env *env, uint8_t *image, uint64_t mask)
{
  memset (image, 0, vm_xsave_size (mask, false));
  vm_fxsave_store (env, image, true, 16);
  vm_store_le64 (image + IMAGE_XSTATE_BV, mask & VM_XSTATE_ALL);
  if (mask & VM_XSTATE_AVX)
    for (unsigned i = 0; i < 16; i++)
      memcpy (image + IMAGE_AVX + 16 * i, env->ymm[i].b + 16, 16);
  if (mask & VM_XSTATE_PKRU)
    vm_store_le32 (image + IMAGE_PKRU, env->pkru);
}

bool
vm_xsave_load (VmX86Env *env, const uint8_t *image, uint64_t mask)
{
  uint64_t present = vm_load_le64 (image + IMAGE_XSTATE_BV);
  uint32_t mxcsr = vm_load_le32 (image + IMAGE_MXCSR);

  if (present & ~mask || vm_load_le64 (image + IMAGE_XCOMP_BV) || mxcsr & ~MXCSR_MASK)
    return false;
  vm_xsave_init (env, mask & ~present, 16);
  if (present & VM_XSTATE_X87)
    vm_fxsave_load_x87 (env, image, true);
  if (present & VM_XSTATE_SSE)
    vm_fxsave_load_xmm (env, image, 16);
  env->fx.mxcsr = mxcsr;
  if (present & VM_XSTATE_AVX)
    for (unsigned i = 0; i < 16; i++)
      memcpy (env->ymm[i].b + 16, image + IMAGE_AVX + 16 * i, 16);
  if (present & VM_XSTATE_PKRU)
    env->pkru = vm_load_le32 (image + IMAGE_PKRU);
  return true;
}

static unsigned
classify (const uint8_t *st)
{
  uint16_t exponent = vm_load_le16 (st + 8) & 0x7fff;
  uint64_t significand = vm_load_le64 (st);

  if (exponent == 0 && significand == 0)
    return 1;
  return exponent == 0 || exponent == 0x7fff || !(significand >> 63) ? 2 : 0;
}

uint16_t
vm_x87_full_tags (const VmX86Fx *fx)
{
  unsigned top = fx->fsw >> 11 & 7;
  uint16_t full = 0;

  for (unsigned i = 0; i < 8; i++)
    full |= (fx->ftw >> i & 1 ? classify (fx->st[(i - top) & 7]) : 3) << (2 * i);
  return full;
}

uint8_t
vm_x87_abridged_tags (uint16_t full)
{
  uint8_t abridged = 0;

  for (unsigned i = 0; i < 8; i++)
    abridged |= ((full >> (2 * i) & 3) != 3) << i;
  return abridged;
}

void
vm_x86_ignore_fpu_error (VmX86Cpu *cpu)
{
  if (!cpu->env.ferr)
    return;
  cpu->env.ferr = false;
  cpu->env.ignne = true;
  vm_irq_lower (&cpu->ferr_irq);
}
