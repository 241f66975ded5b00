/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole PC under random accesses to ports, device memory and PCI configuration space, without processors (the
 * qtest accelerator). FUZZ_PC says which parts are aimed at. */
#include "devices/board/board.h"
#include "engine/char/char.h"
#include "engine/debug/qtest.h"
#include "engine/machine/machine-private.h"
#include "engine/options/options.h"
#include "tests/fuzz/fuzz.h"

extern const VmType *const vm_all_types[]; /* generated */
extern const size_t vm_n_all_types;

typedef struct Range
{
  uint64_t first, size;
  bool memory;
} Range;

typedef struct Target
{
  const char *name;
  Range ranges[12]; /* ends with size 0 */
} Target;

#define HPET_BASE UINT64_C (0xfed00000)
#define IOAPIC_BASE UINT64_C (0xfec00000)
#define BAR_BASE UINT64_C (0xe0000000) /* where the fuzzer puts memory BARs */
#define BAR_SIZE UINT64_C (0x1000000)
#define RAM_SIZE (16 * VM_MIB)
#define PM_BASE 0x600
#define SMB_BASE 0x700
#define BMDMA_BASE 0xc000

static const Target targets[] = {
  { "timers", { { 0x40, 4 }, { 0x61, 1 }, { 0x70, 2 }, { HPET_BASE, 0x400, true }, { PM_BASE, 0x40 } } },
  { "interrupts", { { 0x20, 2 }, { 0xa0, 2 }, { 0x4d0, 2 }, { IOAPIC_BASE, 0x20, true }, { 0x40, 4 } } },
  { "power",
    { { PM_BASE, 0x40 }, { 0xb2, 2 }, { 0xcf9, 1 }, { 0x92, 1 }, { 0xae00, 0x20 }, { 0xaf00, 0x20 }, { 0x505, 1 } } },
  { "smbus", { { SMB_BASE, 0x10 } } },
  { "pci", { { 0xcf8, 8 }, { BAR_BASE, BAR_SIZE, true }, { 0xc000, 0x1000 } } },
  { "ide-dma", { { 0x1f0, 8 }, { 0x170, 8 }, { 0x3f6, 1 }, { 0x376, 1 }, { BMDMA_BASE, 16 }, { 0, 0x8000, true } } },
  { "misc",
    { { 0x5658, 2 },
      { 0x60, 1 },
      { 0x64, 1 },
      { 0xe0, 16 },
      { 0xf4, 4 },
      { 0x510, 12 },
      { 0xe8, 8 },
      { BAR_BASE, BAR_SIZE, true },
      { 0x3b0, 0x30 },
      { 0x1ce, 3 },
      { 0xa0000, 0x20000, true } } },
  { "all",
    { { 0, 0x1000 },
      { 0x5658, 2 },
      { 0xae00, 0x200 },
      { 0xc000, 0x1000 },
      { BAR_BASE, BAR_SIZE, true },
      { HPET_BASE, 0x400, true },
      { IOAPIC_BASE, 0x20, true },
      { 0xa0000, 0x60000, true } } },
};

static const char *const command_line[] = {
  "fuzz-pc", "-nodefaults",  "-display", "none",        "-S",      "-accel",     "qtest",     "-machine", "pc",   "-m",
  "16",      "-no-shutdown", "-serial",  "null",        "-serial", "null",       "-parallel", "null",     "-vga", "std",
  "-device", "edu",          "-device",  "pci-testdev", "-device", "pc-testdev", "-device",   "pvpanic",
};

static const VmAccelOps *const accels[] = { &vm_qtest_accel_ops, NULL };

static const Target *
find_target (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (targets); i++)
    if (!strcmp (targets[i].name, FUZZ_PC))
      return &targets[i];
  g_assert_not_reached ();
}

static VmMachine *
build_machine (void)
{
  VmSettings *settings = vm_settings_new ();
  VmTypeList *types = vm_type_list_new (vm_all_types, vm_n_all_types);
  g_autoptr (GError) error = NULL;
  int argc = G_N_ELEMENTS (command_line);
  const VmBoard *board;
  VmMachine *m;

  g_assert_cmpint (vm_options_parse (argc, (char *const *) command_line, settings, &error), ==, VM_OPTIONS_RUN);
  board = vm_board_find (vm_boards, settings->machine);
  if (!vm_settings_complete (settings, board, types, &error)
      || !(m = vm_machine_new (board, settings, types, vm_boards, &error)) || !vm_machine_create_backends (m, &error)
      || !vm_machine_init_accel (m, accels, &error) || !vm_machine_create_ram (m, &error)
      || !vm_machine_init_board (m, &error) || !vm_machine_create_devices (m, &error))
    g_error ("%s", error->message);
  return m;
}

static void
store (VmMachine *m, bool memory, uint64_t addr, uint64_t value, unsigned size)
{
  vm_as_store (memory ? m->env.memory_as : m->env.io_as, addr, value, size, VM_MEM_ATTRS_NONE);
}

static void
load (VmMachine *m, bool memory, uint64_t addr, unsigned size)
{
  vm_as_load (memory ? m->env.memory_as : m->env.io_as, addr, size, VM_MEM_ATTRS_NONE, NULL);
}

static void
pci_write (VmMachine *m, unsigned devfn, unsigned offset, uint32_t value, unsigned size)
{
  store (m, false, 0xcf8, 0x80000000 | devfn << 8 | (offset & 0xfc), 4);
  store (m, false, 0xcfc + (offset & 3), value, size);
}

/* As firmware would: devices decode, power management and SMBus have their ports. */
static void
set_up (VmMachine *m)
{
  unsigned bar = 0;

  pci_write (m, 1 << 3 | 3, 0x40, PM_BASE | 1, 4);
  pci_write (m, 1 << 3 | 3, 0x80, 1, 1);
  pci_write (m, 1 << 3 | 3, 0x90, SMB_BASE | 1, 4);
  pci_write (m, 1 << 3 | 3, 0xd2, 9, 1);
  pci_write (m, 1 << 3 | 1, 0x20, BMDMA_BASE, 4);
  pci_write (m, 1 << 3 | 1, 0x40, 0x80008000, 4);
  for (unsigned slot = 2; slot < 8; slot++)
    {
      for (unsigned i = 0; i < 6; i++)
        pci_write (m, slot << 3, 0x10 + 4 * i, (uint32_t) (BAR_BASE + (bar++ % 16) * 0x100000), 4);
      pci_write (m, slot << 3, 0x04, 7, 2);
    }
  pci_write (m, 1 << 3 | 1, 0x04, 7, 2);
  pci_write (m, 1 << 3 | 3, 0x04, 7, 2);
}

static void
settle (VmMachine *m)
{
  while (vm_loop_iterate (m->env.loop, false))
    ;
}

enum
{
  OP_STORE,
  OP_STORE_AGAIN,
  OP_LOAD,
  OP_PCI,
  OP_WAIT,
  OP_BURST,
  OP_SETTLE,
  OP_REQUEST
};

static void
step (VmMachine *m, const Target *target, unsigned n_ranges, Input *in)
{
  uint8_t op = (uint8_t) take (in, 1);
  unsigned size = 1u << (op >> 3 & 3);
  const Range *range = &target->ranges[take (in, 1) % n_ranges];
  uint64_t addr = range->first + take (in, range->size > 256 ? 3 : 1) % range->size;
  VmClocks *clocks = m->env.clocks;

  size = range->memory ? size : MIN (size, 4);
  switch (op & 7)
    {
    case OP_STORE:
    case OP_STORE_AGAIN:
      store (m, range->memory, addr, take (in, size), size);
      break;
    case OP_LOAD:
      load (m, range->memory, addr, size);
      break;
    case OP_PCI:
      {
        unsigned devfn = (op >> 5) << 3 | (take (in, 1) & 3), offset = take (in, 1);

        pci_write (m, devfn, offset, take (in, size), MIN (size, 4));
        load (m, false, 0xcfc, 4);
      }
      break;
    case OP_WAIT:
      vm_clocks_advance_to (clocks, vm_clock_now (clocks, VM_CLOCK_VIRTUAL)
                                        + (int64_t) take (in, 2) * ((op & 0x80) ? VM_NS_PER_US : 100));
      break;
    case OP_BURST:
      for (unsigned n = take (in, 1); n; n--)
        if (op & 0x80)
          store (m, range->memory, addr, n * 0x1010101u, size);
        else
          load (m, range->memory, addr, size);
      break;
    case OP_SETTLE:
      settle (m);
      break;
    case OP_REQUEST:
      if (op & 0x80)
        vm_machine_request_powerdown (m);
      else if (m->set_irq)
        m->set_irq (m, op >> 3 & 15, op >> 6 & 1);
      break;
    }
}

static VmMachine *
the_machine (void)
{
  static VmMachine *machine;

  if (!machine)
    {
      machine = build_machine ();
      vm_lock_enter (machine->lock);
    }
  return machine;
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  VmMachine *m = the_machine ();
  const Target *target = find_target ();
  unsigned n_ranges = 0;
  Input in = { data, size };

  while (target->ranges[n_ranges].size)
    n_ranges++;
  set_up (m);
  while (in.left)
    step (m, target, n_ranges, &in);
  settle (m);
  vm_machine_reset_now (m, VM_RESET_COLD);
}
