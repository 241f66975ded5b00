/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The local APIC of a processor (Intel SDM volume 3, chapter 11 "APIC"), xAPIC and x2APIC.
 *
 * A processor calls vm_lapic_ops from its own thread: those functions take the machine lock themselves, or
 * only look at words that may be read without it. */
#include "devices/intc/lapic-private.h"

static int
lapic_highest (const uint32_t bits[8])
{
  for (int i = 7; i >= 0; i--)
    {
      uint32_t word = __atomic_load_n (&bits[i], __ATOMIC_RELAXED);

      if (word != 0)
        return i * 32 + 31 - __builtin_clz (word);
    }
  return -1;
}

static bool
lapic_bit (const uint32_t bits[8], uint8_t n)
{
  return bits[n / 32] >> n % 32 & 1;
}

static void
lapic_set_bit (uint32_t bits[8], uint8_t n, bool on)
{
  uint32_t word = bits[n / 32], bit = 1u << n % 32;

  __atomic_store_n (&bits[n / 32], on ? word | bit : word & ~bit, __ATOMIC_RELAXED);
}

/* --- priority ------------------------------------------------------------------------------------ */

uint8_t
lapic_ppr (const VmLapic *self)
{
  int serving = lapic_highest (self->isr);
  uint8_t tpr = __atomic_load_n (&self->tpr, __ATOMIC_RELAXED);
  uint8_t isrv = serving < 0 ? 0 : (uint8_t) serving & 0xf0;

  return (tpr & 0xf0) >= isrv ? tpr : isrv;
}

/* The vector the processor would get now, or -1. */
static int
lapic_deliverable (const VmLapic *self)
{
  int wanted;

  if (!lapic_is_on (self))
    return -1;
  wanted = lapic_highest (self->irr);
  return wanted >= 0 && (wanted & 0xf0) > (lapic_ppr (self) & 0xf0) ? wanted : -1;
}

/* Is the 8259 pair asking through LINT0? With the APIC switched off, LINT0 is the INTR pin. */
static bool
lapic_extint (const VmLapic *self)
{
  uint32_t lvt = self->lvt[LVT_LINT0];

  if (!(self->lint_levels & 1))
    return false;
  if (!lapic_enabled (self))
    return true;
  return !(lvt & LVT_MASKED) && (lvt >> LVT_MODE_SHIFT & 7) == VM_LAPIC_EXTINT;
}

void
lapic_update (VmLapic *self)
{
  if (!self->cpu)
    return;
  if (lapic_deliverable (self) >= 0 || lapic_extint (self))
    vm_x86_request (self->cpu, VM_REQ_HARD);
  else
    vm_x86_unrequest (self->cpu, VM_REQ_HARD);
}

/* --- events ---------------------------------------------------------------------------------------- */

void
lapic_error (VmLapic *self, uint32_t bits)
{
  if ((self->esr_pending & bits) == bits)
    return;
  self->esr_pending |= bits;
  lapic_local (self, LVT_ERROR);
}

void
lapic_accept (VmLapic *self, uint8_t vector, bool level)
{
  if (!lapic_is_on (self))
    return;
  if (vector < 16)
    {
      lapic_error (self, ESR_RECEIVE_VECTOR);
      return;
    }
  lapic_set_bit (self->irr, vector, true);
  lapic_set_bit (self->tmr, vector, level);
  lapic_update (self);
}

void
lapic_local (VmLapic *self, unsigned n)
{
  uint32_t lvt = self->lvt[n];
  bool level = false;

  if ((lvt & LVT_MASKED) || !lapic_enabled (self))
    return;
  switch (n == LVT_TIMER || n == LVT_ERROR ? VM_LAPIC_FIXED : lvt >> LVT_MODE_SHIFT & 7)
    {
    case VM_LAPIC_FIXED:
      if (n == LVT_LINT0 && (lvt & LVT_LEVEL))
        {
          level = true;
          self->lvt[n] |= LVT_REMOTE_IRR;
        }
      /* An illegal vector in the error entry would report itself for ever. */
      if (n != LVT_ERROR || (lvt & LVT_VECTOR) >= 16)
        lapic_accept (self, lvt & LVT_VECTOR, level);
      break;
    case VM_LAPIC_SMI:
      vm_x86_request (self->cpu, VM_REQ_SMI);
      break;
    case VM_LAPIC_NMI:
      vm_x86_request (self->cpu, VM_REQ_NMI);
      break;
    case VM_LAPIC_INIT:
      lapic_init (self);
      vm_x86_request (self->cpu, VM_REQ_INIT);
      break;
    default: /* ExtINT follows the level, see lapic_extint() */
      lapic_update (self);
      break;
    }
}

/* --- end of interrupt ------------------------------------------------------------------------------- */

static void
lapic_eoi (VmLapic *self)
{
  int vector = lapic_highest (self->isr);

  if (vector < 0)
    return;
  lapic_set_bit (self->isr, (uint8_t) vector, false);
  if (lapic_bit (self->tmr, (uint8_t) vector))
    {
      if ((self->lvt[LVT_LINT0] & LVT_REMOTE_IRR) && (self->lvt[LVT_LINT0] & LVT_VECTOR) == (uint32_t) vector)
        {
          self->lvt[LVT_LINT0] &= ~(uint32_t) LVT_REMOTE_IRR;
          if (self->lint_levels & 1)
            lapic_local (self, LVT_LINT0);
        }
      if (self->bus->eoi)
        self->bus->eoi (self->bus->eoi_opaque, (uint8_t) vector);
    }
  lapic_update (self);
}

/* --- registers ---------------------------------------------------------------------------------------- */

static const uint32_t lapic_lvt_writable[LVT_N] = {
  [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
  [LVT_THERMAL] = LVT_VECTOR | 7 << LVT_MODE_SHIFT | LVT_MASKED,
  [LVT_PERFORMANCE] = LVT_VECTOR | 7 << LVT_MODE_SHIFT | LVT_MASKED,
  [LVT_LINT0] = LVT_VECTOR | 7 << LVT_MODE_SHIFT | 1 << 13 | LVT_LEVEL | LVT_MASKED,
  [LVT_LINT1] = LVT_VECTOR | 7 << LVT_MODE_SHIFT | 1 << 13 | LVT_LEVEL | LVT_MASKED,
  [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

/* Arbitration priority (SDM figure "Arbitration Priority Register"). */
static uint8_t
lapic_apr (const VmLapic *self)
{
  int irrv = lapic_highest (self->irr) & 0xf0, isrv = lapic_highest (self->isr) & 0xf0;

  irrv = lapic_highest (self->irr) < 0 ? 0 : irrv;
  isrv = lapic_highest (self->isr) < 0 ? 0 : isrv;
  if ((self->tpr & 0xf0) >= irrv && (self->tpr & 0xf0) > isrv)
    return self->tpr;
  return (uint8_t) MAX (MAX (self->tpr & 0xf0, isrv), irrv);
}

uint32_t
lapic_register_read (VmLapic *self, unsigned reg)
{
  switch (reg)
    {
    case LAPIC_ID:
      return lapic_is_x2 (self) ? self->initial_id : self->id << 24;
    case LAPIC_VERSION:
      return (LVT_N - 1) << 16 | self->version;
    case LAPIC_TPR:
      return self->tpr;
    case LAPIC_APR:
      return lapic_apr (self);
    case LAPIC_PPR:
      return lapic_ppr (self);
    case LAPIC_LDR:
      return self->ldr;
    case LAPIC_DFR:
      return self->dfr;
    case LAPIC_SVR:
      return self->svr;
    case LAPIC_ISR ... LAPIC_ISR + 7:
      return self->isr[reg - LAPIC_ISR];
    case LAPIC_TMR ... LAPIC_TMR + 7:
      return self->tmr[reg - LAPIC_TMR];
    case LAPIC_IRR ... LAPIC_IRR + 7:
      return self->irr[reg - LAPIC_IRR];
    case LAPIC_ESR:
      return self->esr;
    case LAPIC_ICR_LOW:
      return (uint32_t) self->icr;
    case LAPIC_ICR_HIGH:
      return (uint32_t) (self->icr >> 32);
    case LAPIC_LVT ... LAPIC_LVT + LVT_N - 1:
      return self->lvt[reg - LAPIC_LVT];
    case LAPIC_INITIAL_COUNT:
      return self->initial_count;
    case LAPIC_CURRENT_COUNT:
      return lapic_timer_count (self);
    case LAPIC_DIVIDE:
      return self->divide;
    case LAPIC_EOI:
    case LAPIC_RRD:
      return 0;
    default:
      lapic_error (self, ESR_REGISTER);
      return 0;
    }
}

static void
lapic_write_lvt (VmLapic *self, unsigned n, uint32_t value)
{
  uint32_t old = self->lvt[n];

  value = (value & lapic_lvt_writable[n]) | (old & LVT_REMOTE_IRR);
  if (!(self->svr & SVR_ENABLED))
    value |= LVT_MASKED;
  if (!(value & LVT_LEVEL))
    value &= ~(uint32_t) LVT_REMOTE_IRR;
  self->lvt[n] = value;
  if (n == LVT_TIMER)
    lapic_timer_mode_changed (self, old);
  else if (n == LVT_LINT0)
    {
      /* A level that waits behind the mask asks now. */
      if ((value & LVT_LEVEL) && !(value & LVT_REMOTE_IRR) && (self->lint_levels & 1))
        lapic_local (self, LVT_LINT0);
      lapic_update (self);
    }
}

static void
lapic_write_svr (VmLapic *self, uint32_t value)
{
  self->svr = value & (0xff | SVR_ENABLED | SVR_FOCUS);
  if (!(self->svr & SVR_ENABLED))
    for (unsigned n = 0; n < LVT_N; n++)
      self->lvt[n] |= LVT_MASKED;
  lapic_update (self);
}

void
lapic_register_write (VmLapic *self, unsigned reg, uint32_t value)
{
  switch (reg)
    {
    case LAPIC_ID:
      self->id = value >> 24;
      break;
    case LAPIC_TPR:
      self->tpr = (uint8_t) value;
      lapic_update (self);
      break;
    case LAPIC_EOI:
      lapic_eoi (self);
      break;
    case LAPIC_LDR:
      self->ldr = value & 0xff000000;
      break;
    case LAPIC_DFR:
      self->dfr = value | 0x0fffffff;
      break;
    case LAPIC_SVR:
      lapic_write_svr (self, value);
      break;
    case LAPIC_ESR:
      self->esr = self->esr_pending;
      self->esr_pending = 0;
      break;
    case LAPIC_ICR_LOW:
      self->icr = (self->icr & ~UINT64_C (0xffffffff)) | (value & 0x000ccfff);
      lapic_send_ipi (self);
      break;
    case LAPIC_ICR_HIGH:
      self->icr = (uint32_t) self->icr | (uint64_t) value << 32;
      break;
    case LAPIC_LVT ... LAPIC_LVT + LVT_N - 1:
      lapic_write_lvt (self, reg - LAPIC_LVT, value);
      break;
    case LAPIC_INITIAL_COUNT:
      if ((self->lvt[LVT_TIMER] & LVT_TIMER_MODE) == LVT_TIMER_DEADLINE)
        break;
      self->initial_count = value;
      lapic_timer_restart (self);
      break;
    case LAPIC_DIVIDE:
      lapic_timer_set_divide (self, value & 0xb);
      break;
    case LAPIC_VERSION:
    case LAPIC_APR:
    case LAPIC_PPR:
    case LAPIC_RRD:
    case LAPIC_ISR ... LAPIC_IRR + 7:
    case LAPIC_CURRENT_COUNT:
      break; /* read-only */
    default:
      lapic_error (self, ESR_REGISTER);
      break;
    }
}

/* --- what the processor calls ---------------------------------------------------------------------------- */

static VmLock *
lapic_lock (const VmLapic *self)
{
  return vm_loop_lock (self->parent.env->loop);
}

static int
lapic_get_vector_locked (VmLapic *self)
{
  int vector = lapic_deliverable (self);

  if (vector >= 0)
    {
      lapic_set_bit (self->irr, (uint8_t) vector, false);
      lapic_set_bit (self->isr, (uint8_t) vector, true);
    }
  else if (lapic_extint (self) && self->bus->extint)
    vector = self->bus->extint (self->bus->extint_opaque);
  lapic_update (self);
  return vector;
}

static int
lapic_op_get_vector (void *apic)
{
  VmLapic *self = apic;
  VmLock *lock = lapic_lock (self);
  bool taken = vm_lock_enter (lock);
  int vector = lapic_get_vector_locked (self);

  vm_lock_leave (lock, taken);
  return vector;
}

static bool
lapic_op_has_vector (void *apic)
{
  VmLapic *self = apic;

  return lapic_deliverable (self) >= 0 || lapic_extint (self);
}

static uint8_t
lapic_op_get_tpr (void *apic)
{
  return __atomic_load_n (&((VmLapic *) apic)->tpr, __ATOMIC_RELAXED);
}

static void
lapic_op_set_tpr (void *apic, uint8_t tpr)
{
  VmLapic *self = apic;
  VmLock *lock = lapic_lock (self);
  bool taken;

  if (self->tpr == tpr)
    return;
  taken = vm_lock_enter (lock);
  __atomic_store_n (&self->tpr, tpr, __ATOMIC_RELAXED);
  lapic_update (self);
  vm_lock_leave (lock, taken);
}

static bool
lapic_base_allowed (VmLapic *self, uint64_t value)
{
  uint32_t features[4], mode = (uint32_t) value & (BASE_ENABLED | BASE_X2APIC);
  uint32_t old = (uint32_t) self->base & (BASE_ENABLED | BASE_X2APIC);

  if (value & (0xff | 1 << 9) || value & ~(self->cpu->phys_mask | 0xfff))
    return false;
  if (mode == BASE_X2APIC)
    return false;
  vm_x86_cpuid (self->cpu, 1, 0, features);
  if ((mode & BASE_X2APIC) && !(features[2] >> 21 & 1))
    return false;
  /* SDM "x2APIC State Transitions": not off -> x2APIC, not x2APIC -> xAPIC. */
  if (mode == (BASE_ENABLED | BASE_X2APIC) && old == 0)
    return false;
  return !(mode == BASE_ENABLED && old == (BASE_ENABLED | BASE_X2APIC));
}

static bool
lapic_set_base_locked (VmLapic *self, uint64_t value)
{
  uint64_t old = self->base;

  if (!lapic_base_allowed (self, value))
    return false;
  /* Which processor boots is not for software to say. */
  self->base = (value & ~(uint64_t) BASE_BSP) | (old & BASE_BSP);
  self->cpu->env.apic_base = self->base;
  if ((old & BASE_ENABLED) && !lapic_enabled (self))
    {
      self->id = self->initial_id & 0xff; /* as after power-up; an INIT keeps it */
      lapic_init (self);
    }
  if (lapic_is_x2 (self) && !(old & BASE_X2APIC))
    self->ldr = (self->initial_id >> 4) << 16 | 1u << (self->initial_id & 15);
  lapic_bus_map (self);
  lapic_update (self);
  return true;
}

static bool
lapic_op_set_base (void *apic, uint64_t value)
{
  VmLapic *self = apic;
  VmLock *lock = lapic_lock (self);
  bool taken = vm_lock_enter (lock), ok;

  ok = lapic_set_base_locked (self, value);
  vm_lock_leave (lock, taken);
  return ok;
}

/* Registers of the x2APIC (SDM table "Local APIC Register Address Map Supported by x2APIC"). */
static bool
lapic_msr_exists (unsigned reg, bool write)
{
  switch (reg)
    {
    case LAPIC_ID:
    case LAPIC_VERSION:
    case LAPIC_PPR:
    case LAPIC_LDR:
    case LAPIC_ISR ... LAPIC_IRR + 7:
    case LAPIC_CURRENT_COUNT:
      return !write;
    case LAPIC_EOI:
    case LAPIC_SELF_IPI:
      return write;
    case LAPIC_TPR:
    case LAPIC_SVR:
    case LAPIC_ESR:
    case LAPIC_ICR_LOW:
    case LAPIC_LVT ... LAPIC_LVT + LVT_N - 1:
    case LAPIC_INITIAL_COUNT:
    case LAPIC_DIVIDE:
      return true;
    default:
      return false;
    }
}

static uint64_t
lapic_msr_writable (unsigned reg)
{
  switch (reg)
    {
    case LAPIC_TPR:
    case LAPIC_SELF_IPI:
      return 0xff;
    case LAPIC_SVR:
      return 0xff | SVR_ENABLED | SVR_FOCUS | 1 << 12;
    case LAPIC_ICR_LOW:
      return UINT64_C (0xffffffff000ccfff) | ICR_BUSY;
    case LAPIC_LVT ... LAPIC_LVT + LVT_N - 1:
      return lapic_lvt_writable[reg - LAPIC_LVT] | LVT_PENDING | LVT_REMOTE_IRR;
    case LAPIC_INITIAL_COUNT:
      return UINT32_MAX;
    case LAPIC_DIVIDE:
      return 0xb;
    default: /* EOI, ESR: only zero */
      return 0;
    }
}

static bool
lapic_op_msr_read (void *apic, uint32_t msr, uint64_t *value)
{
  VmLapic *self = apic;
  unsigned reg = msr - 0x800;
  VmLock *lock = lapic_lock (self);
  bool taken;

  if (!lapic_is_x2 (self) || !lapic_msr_exists (reg, false))
    return false;
  taken = vm_lock_enter (lock);
  *value = reg == LAPIC_ICR_LOW ? self->icr : lapic_register_read (self, reg);
  vm_lock_leave (lock, taken);
  return true;
}

static bool
lapic_op_msr_write (void *apic, uint32_t msr, uint64_t value)
{
  VmLapic *self = apic;
  unsigned reg = msr - 0x800;
  VmLock *lock = lapic_lock (self);
  bool taken;

  if (!lapic_is_x2 (self) || !lapic_msr_exists (reg, true) || (value & ~lapic_msr_writable (reg)))
    return false;
  taken = vm_lock_enter (lock);
  if (reg == LAPIC_SELF_IPI)
    lapic_accept (self, (uint8_t) value, false);
  else if (reg == LAPIC_ICR_LOW)
    {
      self->icr = value & ~(uint64_t) ICR_BUSY;
      lapic_send_ipi (self);
    }
  else
    lapic_register_write (self, reg, (uint32_t) value);
  vm_lock_leave (lock, taken);
  return true;
}

static void
lapic_op_set_deadline (void *apic, uint64_t tsc)
{
  VmLapic *self = apic;
  VmLock *lock = lapic_lock (self);
  bool taken = vm_lock_enter (lock);

  lapic_timer_set_deadline (self, tsc);
  vm_lock_leave (lock, taken);
}

const VmX86ApicOps vm_lapic_ops = {
  .get_vector = lapic_op_get_vector, .has_vector = lapic_op_has_vector,
  .get_tpr = lapic_op_get_tpr, .set_tpr = lapic_op_set_tpr, .set_base = lapic_op_set_base,
  .msr_read = lapic_op_msr_read, .msr_write = lapic_op_msr_write, .set_deadline = lapic_op_set_deadline,
};

/* --- life ---------------------------------------------------------------------------------------------- */

void
lapic_init (VmLapic *self)
{
  self->ldr = lapic_is_x2 (self) ? (self->initial_id >> 4) << 16 | 1u << (self->initial_id & 15) : 0;
  self->dfr = UINT32_MAX;
  self->svr = 0xff;
  self->esr = self->esr_pending = 0;
  self->icr = 0;
  self->tpr = 0;
  for (unsigned n = 0; n < LVT_N; n++)
    self->lvt[n] = LVT_MASKED;
  memset (self->isr, 0, sizeof self->isr);
  memset (self->tmr, 0, sizeof self->tmr);
  memset (self->irr, 0, sizeof self->irr);
  self->initial_count = self->divide = 0;
  /* Software that never touches the APIC of the boot processor finds the 8259 wired through. */
  if (self->base & BASE_BSP)
    self->lvt[LVT_LINT0] = VM_LAPIC_EXTINT << LVT_MODE_SHIFT;
  if (self->timer.clocks)
    vm_timer_cancel (&self->timer);
  if (self->cpu)
    self->cpu->env.tsc_deadline = 0;
  lapic_update (self);
}

static void
lapic_reset (VmDevice *dev, VmResetKind kind)
{
  VmLapic *self = (VmLapic *) dev;

  self->base = VM_LAPIC_DEFAULT_BASE | BASE_ENABLED;
  if (self->cpu->parent.index == 0)
    self->base |= BASE_BSP;
  self->cpu->env.apic_base = self->base;
  self->id = self->initial_id & 0xff;
  lapic_init (self);
  lapic_bus_map (self);
}

static bool
lapic_realize (VmDevice *dev, GError **error)
{
  VmLapic *self = (VmLapic *) dev;

  lapic_timer_init (self);
  lapic_reset (dev, VM_RESET_COLD);
  return true;
}

static void
lapic_unrealize (VmDevice *dev)
{
  VmLapic *self = (VmLapic *) dev;

  vm_timer_cancel (&self->timer);
  if (self->moved_mapped)
    vm_region_destroy (&self->moved);
  self->moved_mapped = false;
  if (self->bus)
    g_ptr_array_remove (self->bus->apics, self);
}

static bool
lapic_post_load (VmDevice *dev, GError **error)
{
  VmLapic *self = (VmLapic *) dev;

  lapic_bus_map (self);
  lapic_update (self);
  return true;
}

static const VmProp lapic_props[] = {
  VM_PROP ("id", VmLapic, initial_id, 0, "APIC id after reset"),
  VM_PROP ("version", VmLapic, version, 0x14, "version register"),
  VM_PROP ("vapic", VmLapic, vapic, true, "for option ROMs that patch accesses to the TPR; there is none here"),
  { 0 }
};

static const VmField lapic_state[] = {
  VM_FIELD (VmLapic, base), VM_FIELD (VmLapic, id), VM_FIELD (VmLapic, ldr), VM_FIELD (VmLapic, dfr),
  VM_FIELD (VmLapic, svr), VM_FIELD (VmLapic, esr), VM_FIELD (VmLapic, esr_pending),
  VM_FIELD_ARRAY (VmLapic, lvt), VM_FIELD_ARRAY (VmLapic, isr), VM_FIELD_ARRAY (VmLapic, tmr),
  VM_FIELD_ARRAY (VmLapic, irr), VM_FIELD (VmLapic, icr), VM_FIELD (VmLapic, tpr),
  VM_FIELD (VmLapic, lint_levels), VM_FIELD (VmLapic, initial_count), VM_FIELD (VmLapic, divide),
  VM_FIELD (VmLapic, count_start), VM_FIELD_TIMER_OF (VmLapic, timer),
  { 0 }
};

static const VmDeviceClass lapic_class = {
  .realize = lapic_realize, .unrealize = lapic_unrealize, .reset = lapic_reset, .post_load = lapic_post_load,
  .category = "Misc",
};

const VmType vm_lapic_type = {
  .name = "apic", .parent = &vm_device_type, .size = sizeof (VmLapic),
  .help = "Local APIC of a processor", .props = lapic_props, .state = lapic_state, .klass = &lapic_class,
};
