/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine checks that somebody wants the guest to see (Intel SDM vol. 3, chapter 16). */
#include "engine/x86/arch-ops.h"

#include "engine/x86/model.h"

#include <inttypes.h>

enum
{
  BANKS = 10,
  BANK_CTL = 0,
  BANK_STATUS = 1,
  BANK_ADDR = 2,
  BANK_MISC = 3
};
#define STATUS_VAL VM_BIT (63)
#define STATUS_OVER VM_BIT (62)
#define STATUS_UC VM_BIT (61)
#define MCG_MCIP VM_BIT (2)

static void
record (uint64_t *bank, const VmMachineCheck *check, uint64_t status)
{
  bank[BANK_ADDR] = check->address;
  bank[BANK_MISC] = check->misc;
  bank[BANK_STATUS] = status;
}

static char *
message (const VmVcpu *vcpu, const char *text)
{
  return g_strdup_printf ("CPU %u: %s\n", vcpu->index, text);
}

/* An error that was not corrected: into the bank, and an exception unless the guest cannot take one. */
static VmMachineCheckResult
raise_check (VmX86Cpu *cpu, const VmMachineCheck *check, char **text)
{
  VmX86Env *env = &cpu->env;
  uint64_t *bank = &env->mc_banks[check->bank * 4];

  if (env->mcg_ctl != UINT64_MAX || bank[BANK_CTL] != UINT64_MAX)
    {
      *text = env->mcg_ctl != UINT64_MAX
                  ? message (&cpu->parent, "Uncorrected error reporting disabled")
                  : g_strdup_printf ("CPU %u: Uncorrected error reporting disabled for bank %u\n", cpu->parent.index,
                                     check->bank);
      return VM_MACHINE_CHECK_REFUSED;
    }
  if ((env->mcg_status & MCG_MCIP) || !(env->cr4 & VM_CR4_MCE))
    {
      *text = message (&cpu->parent, env->cr4 & VM_CR4_MCE ? "Previous MCE still in progress, raising triple fault"
                                                           : "MCE capability is not enabled, raising triple fault");
      return VM_MACHINE_CHECK_FATAL;
    }
  record (bank, check, check->status | (bank[BANK_STATUS] & STATUS_VAL ? STATUS_OVER : 0));
  env->mcg_status = check->mcg_status;
  vm_x86_request (cpu, VM_REQ_MCE);
  return VM_MACHINE_CHECK_RECORDED;
}

VmMachineCheckResult
vm_x86_machine_check (VmVcpu *vcpu, const VmMachineCheck *check, char **text)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  uint64_t *bank = &cpu->env.mc_banks[MIN (check->bank, BANKS - 1) * 4];

  *text = NULL;
  if (check->bank >= BANKS || !(check->status & STATUS_VAL))
    {
      *text = g_strdup (check->bank >= BANKS ? "Invalid MCE bank number\n" : "Invalid MCE status code\n");
      return VM_MACHINE_CHECK_REFUSED;
    }
  if (strcmp (vcpu->accel->ops->name, "tcg") != 0)
    {
      *text = g_strdup_printf ("Machine checks cannot be raised with accel=%s\n", vcpu->accel->ops->name);
      return VM_MACHINE_CHECK_REFUSED;
    }
  if (check->status & STATUS_UC)
    return raise_check (cpu, check, text);
  /* One that was corrected waits for the guest to look; it does not push out a worse one. */
  if (!(bank[BANK_STATUS] & STATUS_VAL) || !(bank[BANK_STATUS] & STATUS_UC))
    record (bank, check, check->status | (bank[BANK_STATUS] & STATUS_VAL ? STATUS_OVER : 0));
  else
    bank[BANK_STATUS] |= STATUS_OVER;
  return VM_MACHINE_CHECK_RECORDED;
}
