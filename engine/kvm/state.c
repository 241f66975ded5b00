/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers between VmX86Env and the kernel (KVM API, sections 4.11 to 4.31, 4.42, 4.43). */
#include "config.h"

#include "engine/kvm/kvm-private.h"
#include "engine/base/log.h"
#include "engine/x86/xsave.h"

#include <cpuid.h>
#include <errno.h>
#include <sys/ioctl.h>

/* --- general, segment and control registers ---------------------------------------------------- */

/* Where VmX86Env's numbers 0..7 are in struct kvm_regs. */
static const uint16_t gpr_offset[16] = {
  offsetof (struct kvm_regs, rax), offsetof (struct kvm_regs, rcx), offsetof (struct kvm_regs, rdx),
  offsetof (struct kvm_regs, rbx), offsetof (struct kvm_regs, rsp), offsetof (struct kvm_regs, rbp),
  offsetof (struct kvm_regs, rsi), offsetof (struct kvm_regs, rdi), offsetof (struct kvm_regs, r8),
  offsetof (struct kvm_regs, r9), offsetof (struct kvm_regs, r10), offsetof (struct kvm_regs, r11),
  offsetof (struct kvm_regs, r12), offsetof (struct kvm_regs, r13), offsetof (struct kvm_regs, r14),
  offsetof (struct kvm_regs, r15),
};

static bool
fetch_general (KvmVcpu *v)
{
  VmX86Env *env = &v->cpu->env;
  struct kvm_regs regs;

  if (ioctl (v->fd, KVM_GET_REGS, &regs) < 0)
    return false;
  for (unsigned i = 0; i < 16; i++)
    memcpy (&env->gpr[i], (uint8_t *) &regs + gpr_offset[i], 8);
  env->rip = regs.rip;
  env->eflags = regs.rflags | 2;
  return true;
}

static bool
store_general (KvmVcpu *v)
{
  const VmX86Env *env = &v->cpu->env;
  struct kvm_regs regs = { .rip = env->rip, .rflags = env->eflags | 2 };

  for (unsigned i = 0; i < 16; i++)
    memcpy ((uint8_t *) &regs + gpr_offset[i], &env->gpr[i], 8);
  return ioctl (v->fd, KVM_SET_REGS, &regs) == 0;
}

static VmX86Seg
get_segment (const struct kvm_segment *s)
{
  return (VmX86Seg) {
    .base = s->base, .limit = s->limit, .selector = s->selector,
    .attr = s->type | s->s << 4 | s->dpl << 5 | (s->unusable ? 0 : s->present << 7) | s->avl << 12 | s->l << 13 |
            s->db << 14 | s->g << 15,
  };
}

static struct kvm_segment
put_segment (const VmX86Seg *s)
{
  return (struct kvm_segment) {
    .base = s->base, .limit = s->limit, .selector = s->selector, .type = s->attr & VM_SEG_TYPE,
    .s = (s->attr & VM_SEG_S) != 0, .dpl = s->attr >> VM_SEG_DPL_SHIFT & 3, .present = (s->attr & VM_SEG_P) != 0,
    .avl = (s->attr & VM_SEG_AVL) != 0, .l = (s->attr & VM_SEG_L) != 0, .db = (s->attr & VM_SEG_DB) != 0,
    .g = (s->attr & VM_SEG_G) != 0, .unusable = !(s->attr & VM_SEG_P),
  };
}

static bool
fetch_system (KvmVcpu *v)
{
  VmX86Env *env = &v->cpu->env;
  struct kvm_sregs s;
  struct kvm_debugregs d;
  struct kvm_xcrs x;

  if (ioctl (v->fd, KVM_GET_SREGS, &s) < 0)
    return false;
  env->seg[VM_ES] = get_segment (&s.es);
  env->seg[VM_CS] = get_segment (&s.cs);
  env->seg[VM_SS] = get_segment (&s.ss);
  env->seg[VM_DS] = get_segment (&s.ds);
  env->seg[VM_FS] = get_segment (&s.fs);
  env->seg[VM_GS] = get_segment (&s.gs);
  env->ldt = get_segment (&s.ldt);
  env->tr = get_segment (&s.tr);
  env->gdt = (VmX86Table) { s.gdt.base, s.gdt.limit };
  env->idt = (VmX86Table) { s.idt.base, s.idt.limit };
  env->cr0 = s.cr0;
  env->cr2 = s.cr2;
  env->cr3 = s.cr3;
  env->cr4 = s.cr4;
  env->efer = s.efer;
  env->apic_base = s.apic_base;
  if (ioctl (v->fd, KVM_GET_DEBUGREGS, &d) == 0)
    {
      for (unsigned i = 0; i < 4; i++)
        env->dr[i] = d.db[i];
      env->dr[6] = d.dr6;
      env->dr[7] = d.dr7;
    }
  if (ioctl (v->fd, KVM_GET_XCRS, &x) == 0)
    for (unsigned i = 0; i < MIN (x.nr_xcrs, KVM_MAX_XCRS); i++)
      if (x.xcrs[i].xcr == 0)
        env->xcr0 = x.xcrs[i].value;
  return true;
}

static bool
store_system (KvmVcpu *v)
{
  const VmX86Env *env = &v->cpu->env;
  struct kvm_sregs s;
  struct kvm_debugregs d = { .dr6 = env->dr[6], .dr7 = env->dr[7] };
  struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = env->xcr0 | 1 } } };

  /* The task priority and the vector being injected are the kernel's. */
  if (ioctl (v->fd, KVM_GET_SREGS, &s) < 0)
    return false;
  s.es = put_segment (&env->seg[VM_ES]);
  s.cs = put_segment (&env->seg[VM_CS]);
  s.ss = put_segment (&env->seg[VM_SS]);
  s.ds = put_segment (&env->seg[VM_DS]);
  s.fs = put_segment (&env->seg[VM_FS]);
  s.gs = put_segment (&env->seg[VM_GS]);
  s.ldt = put_segment (&env->ldt);
  s.tr = put_segment (&env->tr);
  s.gdt.base = env->gdt.base;
  s.gdt.limit = env->gdt.limit;
  s.idt.base = env->idt.base;
  s.idt.limit = env->idt.limit;
  s.cr0 = env->cr0;
  s.cr2 = env->cr2;
  s.cr3 = env->cr3;
  s.cr4 = env->cr4;
  s.efer = env->efer;
  s.apic_base = env->apic_base;
  memset (s.interrupt_bitmap, 0, sizeof s.interrupt_bitmap);
  if (ioctl (v->fd, KVM_SET_SREGS, &s) < 0)
    return false;
  for (unsigned i = 0; i < 4; i++)
    d.db[i] = env->dr[i];
  (void) ioctl (v->fd, KVM_SET_DEBUGREGS, &d);
  (void) ioctl (v->fd, KVM_SET_XCRS, &x); /* not there without XSAVE */
  return true;
}

/* --- vector and x87 state ---------------------------------------------------------------------- */

/* Where the host's images have PKRU; 0: not there. */
static unsigned
host_pkru_offset (void)
{
  unsigned a = 0, b = 0, c = 0, d = 0;

  if (!__get_cpuid_count (13, 9, &a, &b, &c, &d) || a != 8)
    return 0;
  return b <= sizeof (struct kvm_xsave) - 8 ? b : 0;
}

/* Room for the kernel's image, however big. */
static uint8_t *
xsave_buffer (KvmVcpu *v, size_t *size)
{
  int wanted = v->accel->has_xsave2 ? ioctl (v->accel->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2) : 0;

  *size = MAX (wanted, (int) sizeof (struct kvm_xsave));
  return g_aligned_alloc0 (1, *size, 64);
}

static bool
fetch_vectors (KvmVcpu *v)
{
  enum { MASK = VM_XSTATE_X87 | VM_XSTATE_SSE | VM_XSTATE_AVX };
  VmX86Env *env = &v->cpu->env;
  unsigned pkru = host_pkru_offset ();
  size_t size;
  uint8_t *image = xsave_buffer (v, &size);
  bool ok = ioctl (v->fd, v->accel->has_xsave2 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, image) == 0;

  if (ok)
    {
      uint64_t present = vm_load_le64 (image + 512);

      env->pkru = pkru && present & VM_XSTATE_PKRU ? vm_load_le32 (image + pkru) : 0;
      vm_store_le64 (image + 512, present & MASK);
      vm_store_le64 (image + 520, 0);
      vm_store_le32 (image + 24, vm_load_le32 (image + 24) & 0xffff);
      ok = vm_xsave_load (env, image, MASK);
    }
  g_aligned_free (image);
  return ok;
}

static bool
store_vectors (KvmVcpu *v)
{
  enum { MASK = VM_XSTATE_X87 | VM_XSTATE_SSE | VM_XSTATE_AVX };
  const VmX86Env *env = &v->cpu->env;
  unsigned pkru = host_pkru_offset ();
  uint64_t mask = __builtin_cpu_supports ("avx") ? MASK : MASK & ~VM_XSTATE_AVX;
  size_t size;
  uint8_t *image = xsave_buffer (v, &size);
  bool ok;

  vm_xsave_store (env, image, mask);
  if (pkru && env->pkru)
    {
      vm_store_le64 (image + 512, mask | VM_XSTATE_PKRU);
      vm_store_le32 (image + pkru, env->pkru);
    }
  ok = ioctl (v->fd, KVM_SET_XSAVE, image) == 0;
  g_aligned_free (image);
  return ok;
}

/* --- model-specific registers ------------------------------------------------------------------ */

typedef struct MsrPlace {
  uint32_t msr, count; /* COUNT registers with consecutive numbers */
  uint32_t offset, stride;
  bool     narrow;     /* 32 bits */
} MsrPlace;

#define MSR(number, field) { number, 1, offsetof (VmX86Env, field), 8, false }
static const MsrPlace msr_places[] = {
  MSR (0x174, sysenter_cs), MSR (0x175, sysenter_esp), MSR (0x176, sysenter_eip),
  MSR (0xc0000081, star), MSR (0xc0000082, lstar), MSR (0xc0000083, cstar), MSR (0xc0000084, sfmask),
  MSR (0xc0000102, kernel_gs_base), MSR (0x277, pat), MSR (0x2ff, mtrr_def_type), MSR (0x250, mtrr_fixed[0]),
  { 0x258, 2, offsetof (VmX86Env, mtrr_fixed[1]), 8, false },
  { 0x268, 8, offsetof (VmX86Env, mtrr_fixed[3]), 8, false },
  MSR (0x200, mtrr_base[0]), MSR (0x201, mtrr_mask[0]), MSR (0x202, mtrr_base[1]), MSR (0x203, mtrr_mask[1]),
  MSR (0x204, mtrr_base[2]), MSR (0x205, mtrr_mask[2]), MSR (0x206, mtrr_base[3]), MSR (0x207, mtrr_mask[3]),
  MSR (0x208, mtrr_base[4]), MSR (0x209, mtrr_mask[4]), MSR (0x20a, mtrr_base[5]), MSR (0x20b, mtrr_mask[5]),
  MSR (0x20c, mtrr_base[6]), MSR (0x20d, mtrr_mask[6]), MSR (0x20e, mtrr_base[7]), MSR (0x20f, mtrr_mask[7]),
  MSR (0x1a0, misc_enable), MSR (0x3a, feature_control), MSR (0x1d9, debugctl), MSR (0x48, spec_ctrl),
  MSR (0xc001011f, virt_ssbd), MSR (0x3b, tsc_adjust), MSR (0x6e0, tsc_deadline), MSR (0xda0, xss),
  MSR (0x17a, mcg_status), MSR (0x17b, mcg_ctl), { 0x400, 40, offsetof (VmX86Env, mc_banks), 8, false },
  MSR (0x8b, bios_sign_id), MSR (0x9e, smbase),
  { 0xc0000103, 1, offsetof (VmX86Env, tsc_aux), 4, true },
};
#undef MSR
enum { MSR_TSC = 0x10, N_MSRS = 128 };

typedef struct OneMsr { /* laid out as struct kvm_msrs */
  uint32_t n, padding;
  struct kvm_msr_entry entry;
} OneMsr;
G_STATIC_ASSERT (offsetof (OneMsr, entry) == offsetof (struct kvm_msrs, entries));

typedef struct MsrList {
  unsigned n;
  struct kvm_msr_entry entry[N_MSRS];
  uint32_t offset[N_MSRS];
  bool     narrow[N_MSRS];
} MsrList;

static void
list_msrs (MsrList *list)
{
  memset (list, 0, sizeof *list);
  for (unsigned i = 0; i < G_N_ELEMENTS (msr_places); i++)
    for (unsigned k = 0; k < msr_places[i].count && list->n < N_MSRS; k++)
      {
        unsigned n = list->n++;

        list->entry[n].index = msr_places[i].msr + k;
        list->offset[n] = msr_places[i].offset + k * msr_places[i].stride;
        list->narrow[n] = msr_places[i].narrow;
      }
}

/* The kernel stops at the first register it does not have: that one is left out, then on. */
static void
transfer_msrs (KvmVcpu *v, unsigned long request, MsrList *list, bool *done)
{
  for (unsigned first = 0; first < list->n;)
    {
      unsigned n = list->n - first;
      g_autofree struct kvm_msrs *part = g_malloc0 (sizeof *part + n * sizeof part->entries[0]);
      int moved;

      part->nmsrs = n;
      memcpy (part->entries, list->entry + first, n * sizeof part->entries[0]);
      moved = MAX (ioctl (v->fd, request, part), 0);
      memcpy (list->entry + first, part->entries, moved * sizeof part->entries[0]);
      memset (done + first, true, moved);
      first += moved + 1;
    }
}

static void
fetch_msrs (KvmVcpu *v)
{
  VmX86Env *env = &v->cpu->env;
  OneMsr tsc = { .n = 1, .entry = { .index = MSR_TSC } };
  bool done[N_MSRS] = { false };
  MsrList list;

  list_msrs (&list);
  transfer_msrs (v, KVM_GET_MSRS, &list, done);
  for (unsigned i = 0; i < list.n; i++)
    if (done[i])
      memcpy ((uint8_t *) env + list.offset[i], &list.entry[i].data, list.narrow[i] ? 4 : 8);
  if (ioctl (v->fd, KVM_GET_MSRS, &tsc) == 1)
    env->tsc_offset += tsc.entry.data - vm_x86_read_tsc (v->cpu);
  v->tsc_offset = env->tsc_offset;
}

static void
store_msrs (KvmVcpu *v)
{
  const VmX86Env *env = &v->cpu->env;
  OneMsr tsc = { .n = 1, .entry = { .index = MSR_TSC } };
  bool done[N_MSRS] = { false };
  MsrList list;

  /* The counter runs on in the kernel; it is only set when somebody meant to. */
  if (env->tsc_offset != v->tsc_offset)
    {
      tsc.entry.data = vm_x86_read_tsc (v->cpu);
      (void) ioctl (v->fd, KVM_SET_MSRS, &tsc);
      v->tsc_offset = env->tsc_offset;
    }
  list_msrs (&list);
  for (unsigned i = 0; i < list.n; i++)
    memcpy (&list.entry[i].data, (const uint8_t *) env + list.offset[i], list.narrow[i] ? 4 : 8);
  transfer_msrs (v, KVM_SET_MSRS, &list, done);
}

/* --- events ------------------------------------------------------------------------------------ */

static bool
fetch_events (KvmVcpu *v)
{
  VmX86Env *env = &v->cpu->env;
  struct kvm_mp_state mp;

  if (ioctl (v->fd, KVM_GET_VCPU_EVENTS, &v->events) < 0)
    return false;
  env->nmi_blocked = v->events.nmi.masked;
  env->shadow = v->events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? 2
              : v->events.interrupt.shadow & KVM_X86_SHADOW_INT_STI ? 1 : 0;
  if (v->accel->irqchip != VM_IRQCHIP_OFF)
    env->sipi_vector = v->events.sipi_vector;
  if (v->events.flags & KVM_VCPUEVENT_VALID_SMM)
    {
      env->smm = v->events.smi.smm;
      env->smm_inhibits_nmi = v->events.smi.smm_inside_nmi;
    }
  if (v->accel->irqchip != VM_IRQCHIP_OFF && ioctl (v->fd, KVM_GET_MP_STATE, &mp) == 0)
    {
      env->halted = mp.mp_state == KVM_MP_STATE_HALTED;
      env->wait_for_sipi = mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED;
    }
  v->events_rip = env->rip;
  return true;
}

/* What waits to be delivered stays unless the processor was put somewhere else. */
static bool
store_events (KvmVcpu *v)
{
  const VmX86Env *env = &v->cpu->env;
  struct kvm_mp_state mp = { .mp_state = env->wait_for_sipi ? KVM_MP_STATE_UNINITIALIZED
                                       : env->halted ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE };

  if (v->events_rip != env->rip)
    memset (&v->events, 0, sizeof v->events);
  v->events.nmi.masked = env->nmi_blocked;
  v->events.interrupt.shadow = env->shadow == 2 ? KVM_X86_SHADOW_INT_MOV_SS
                             : env->shadow == 1 ? KVM_X86_SHADOW_INT_STI : 0;
  v->events.sipi_vector = env->sipi_vector;
  v->events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
                    (env->sipi_vector ? KVM_VCPUEVENT_VALID_SIPI_VECTOR : 0);
  if (v->accel->has_smm)
    {
      v->events.smi.smm = env->smm;
      v->events.smi.smm_inside_nmi = env->smm_inhibits_nmi;
      v->events.flags |= KVM_VCPUEVENT_VALID_SMM;
    }
  if (ioctl (v->fd, KVM_SET_VCPU_EVENTS, &v->events) < 0)
    return false;
  return v->accel->irqchip == VM_IRQCHIP_OFF || ioctl (v->fd, KVM_SET_MP_STATE, &mp) == 0;
}

static bool
say (const char *what, bool ok)
{
  if (!ok)
    vm_report_error ("kvm: %s of the processor: %s", what, g_strerror (errno));
  return ok;
}

bool
kvm_state_fetch (KvmVcpu *v)
{
  bool ok = say ("reading registers", fetch_general (v)) && say ("reading system registers", fetch_system (v)) &&
            say ("reading vector registers", fetch_vectors (v)) && say ("reading events", fetch_events (v));

  fetch_msrs (v);
  vm_x86_update_mode (&v->cpu->env);
  return ok;
}

bool
kvm_state_store (KvmVcpu *v)
{
  bool ok = say ("setting system registers", store_system (v)) && say ("setting registers", store_general (v)) &&
            say ("setting vector registers", store_vectors (v));

  store_msrs (v);
  return say ("setting events", store_events (v)) && ok;
}
