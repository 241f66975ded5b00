/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local APICs and the I/O APIC: acceptance, priorities, destinations, interrupts between processors, timer modes,
 * x2APIC. The processors are stand-ins that note what they are asked. */
#include "devices/intc/ioapic.h"
#include "tests/devices/rig.h"

#define CPUS 4
#define BASE VM_LAPIC_DEFAULT_BASE

enum { ID = 0x20, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, IRR = 0x200,
       ESR = 0x280, ICR = 0x300, ICR2 = 0x310, TIMER = 0x320, LINT0 = 0x350, LINT1 = 0x360, ERR = 0x370,
       COUNT = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0 };

typedef struct Bench {
  Rig        rig;
  VmX86Cpu  *cpu[CPUS];
  VmLapic   *apic[CPUS];
  VmLapicBus bus;
  VmIoapic  *io;
  int        sipi[CPUS];
} Bench;

static Bench  *here;
static VmVcpu *running;

/* --- the processor as the APIC sees it ---------------------------------------------------------------- */

VmVcpu *
vm_vcpu_current (void)
{
  return running;
}

void
vm_x86_request (VmX86Cpu *cpu, uint32_t bits)
{
  cpu->env.request |= bits;
}

void
vm_x86_unrequest (VmX86Cpu *cpu, uint32_t bits)
{
  cpu->env.request &= ~bits;
}

void
vm_x86_send_sipi (VmX86Cpu *cpu, uint8_t vector)
{
  here->sipi[cpu->parent.index] = vector;
}

void
vm_x86_cpuid (VmX86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
  memset (out, 0, 16);
  out[2] = 1u << 21;
}

uint64_t
vm_x86_read_tsc (VmX86Cpu *cpu)
{
  return (uint64_t) vm_clock_now (here->rig.env.clocks, VM_CLOCK_VIRTUAL) * 2;
}

int64_t
vm_x86_tsc_to_ns (VmX86Cpu *cpu, uint64_t tsc)
{
  return tsc > INT64_MAX ? INT64_MAX : (int64_t) ((tsc + 1) / 2);
}

/* --- bench ------------------------------------------------------------------------------------------------ */

static uint32_t
get (Bench *b, unsigned cpu, unsigned reg)
{
  running = &b->cpu[cpu]->parent;
  return (uint32_t) rig_load (&b->rig, BASE + reg, 4);
}

static void
put (Bench *b, unsigned cpu, unsigned reg, uint32_t value)
{
  running = &b->cpu[cpu]->parent;
  rig_store (&b->rig, BASE + reg, value, 4);
}

static void
bench_init (Bench *b)
{
  memset (b, 0, sizeof *b);
  here = b;
  rig_init (&b->rig, VM_MIB);
  vm_lapic_bus_init (&b->bus, &b->rig.env);
  for (unsigned i = 0; i < CPUS; i++)
    {
      b->cpu[i] = g_aligned_alloc0 (1, sizeof (VmX86Cpu), 64);
      b->cpu[i]->parent.index = i;
      b->cpu[i]->phys_mask = VM_MASK (39, 0);
      b->apic[i] = (VmLapic *) vm_device_new (&vm_lapic_type);
      b->apic[i]->initial_id = i;
      vm_lapic_attach (b->apic[i], &b->bus, b->cpu[i]);
      rig_add (&b->rig, b->apic[i], NULL);
      put (b, i, SVR, 0x1ff);
      put (b, i, LDR, 1u << (24 + i));
    }
  b->io = (VmIoapic *) vm_device_new (&vm_ioapic_type);
  b->io->bus = &b->bus;
  b->bus.eoi = vm_ioapic_eoi;
  b->bus.eoi_opaque = b->io;
  rig_add (&b->rig, b->io, NULL);
}

static void
bench_clear (Bench *b)
{
  running = NULL;
  rig_remove (b->io);
  for (unsigned i = CPUS; i-- > 0;)
    rig_remove (b->apic[i]);
  vm_lapic_bus_destroy (&b->bus);
  for (unsigned i = 0; i < CPUS; i++)
    g_aligned_free (b->cpu[i]);
  rig_clear (&b->rig);
}

static bool
asked (Bench *b, unsigned cpu)
{
  return (b->cpu[cpu]->env.request & VM_REQ_HARD) != 0;
}

static int
take (Bench *b, unsigned cpu)
{
  return vm_lapic_ops.get_vector (b->apic[cpu]);
}

static void
test_priorities (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  g_assert_cmphex (get (b, 2, ID), ==, 2u << 24);
  vm_lapic_bus_message (&b->bus, 0xfee00000 | 1 << 12, 0x41);
  g_assert_true (asked (b, 1));
  g_assert_false (asked (b, 0));
  put (b, 1, TPR, 0x50);
  g_assert_false (asked (b, 1));
  g_assert_cmphex (get (b, 1, IRR + 0x20), ==, 2);
  put (b, 1, TPR, 0x30);
  g_assert_true (asked (b, 1));
  g_assert_cmpint (take (b, 1), ==, 0x41);
  g_assert_false (asked (b, 1));
  g_assert_cmphex (get (b, 1, PPR), ==, 0x40);
  vm_lapic_bus_message (&b->bus, 0xfee00000 | 1 << 12, 0x48); /* the same class waits */
  g_assert_false (asked (b, 1));
  vm_lapic_bus_message (&b->bus, 0xfee00000 | 1 << 12, 0x61);
  g_assert_cmpint (take (b, 1), ==, 0x61);
  put (b, 1, EOI, 0);
  g_assert_cmphex (get (b, 1, ISR + 0x30), ==, 0);
  put (b, 1, EOI, 0);
  g_assert_cmpint (take (b, 1), ==, 0x48);
  g_assert_cmpint (take (b, 1), ==, -1);
  /* CR8 is the upper half of the TPR. */
  vm_lapic_ops.set_tpr (b->apic[1], 0xf0);
  g_assert_cmphex (get (b, 1, TPR), ==, 0xf0);
  g_assert_cmphex (vm_lapic_ops.get_tpr (b->apic[1]), ==, 0xf0);
  bench_clear (b);
}

static void
test_destinations (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  vm_lapic_bus_message (&b->bus, 0xfee00000 | 0xff << 12, 0x50); /* all */
  for (unsigned i = 0; i < CPUS; i++)
    g_assert_cmpint (take (b, i), ==, 0x50);
  for (unsigned i = 0; i < CPUS; i++)
    put (b, i, EOI, 0);
  vm_lapic_bus_message (&b->bus, 0xfee00000 | 0x6 << 12 | 1 << 2, 0x51); /* logical, flat */
  g_assert_false (asked (b, 0));
  g_assert_cmpint (take (b, 1), ==, 0x51);
  g_assert_cmpint (take (b, 2), ==, 0x51);
  put (b, 1, EOI, 0);
  put (b, 2, EOI, 0);
  /* Cluster model: cluster 1 is processors 2 and 3. */
  for (unsigned i = 0; i < CPUS; i++)
    {
      put (b, i, DFR, 0x0fffffff);
      put (b, i, LDR, (i / 2 << 4 | 1 << i % 2) << 24);
    }
  vm_lapic_bus_message (&b->bus, 0xfee00000 | 0x12 << 12 | 1 << 2, 0x52);
  g_assert_false (asked (b, 1));
  g_assert_false (asked (b, 2));
  g_assert_cmpint (take (b, 3), ==, 0x52);
  put (b, 3, EOI, 0);
  /* Lowest priority goes to one, the least busy. */
  put (b, 2, TPR, 0x80);
  for (int i = 0; i < 4; i++)
    {
      vm_lapic_bus_message (&b->bus, 0xfee00000 | 0x13 << 12 | 1 << 2, 0x153);
      g_assert_false (asked (b, 2));
      g_assert_cmpint (take (b, 3), ==, 0x53);
      put (b, 3, EOI, 0);
    }
  bench_clear (b);
}

static void
test_ipi (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  put (b, 0, ICR2, 3u << 24);
  put (b, 0, ICR, 0x4060);
  g_assert_cmpint (take (b, 3), ==, 0x60);
  put (b, 0, ICR, 0x44000 | 0x61); /* self */
  g_assert_cmpint (take (b, 0), ==, 0x61);
  put (b, 0, ICR, 0xc4500); /* INIT, all but self */
  g_assert_cmphex (b->cpu[0]->env.request & VM_REQ_INIT, ==, 0);
  g_assert_cmphex (b->cpu[2]->env.request & VM_REQ_INIT, !=, 0);
  g_assert_cmphex (get (b, 3, SVR), ==, 0xff); /* it resets the APIC too */
  put (b, 0, ICR, 0xc4610);
  g_assert_cmpint (b->sipi[1], ==, 0x10);
  g_assert_cmpint (b->sipi[0], ==, 0);
  put (b, 0, ICR2, 1u << 24);
  put (b, 0, ICR, 0x4400); /* NMI */
  g_assert_cmphex (b->cpu[1]->env.request & VM_REQ_NMI, !=, 0);
  put (b, 0, ICR, 0x8500); /* INIT de-assert: nothing */
  b->cpu[1]->env.request = 0;
  put (b, 0, ICR, 0x8500);
  g_assert_cmphex (b->cpu[1]->env.request, ==, 0);
  /* Bad vectors. */
  put (b, 0, ESR, 0);
  put (b, 0, ICR, 0x4005);
  put (b, 0, ESR, 0);
  g_assert_cmphex (get (b, 0, ESR), ==, 0x20);
  put (b, 0, ERR, 0xfe);
  vm_lapic_bus_message (&b->bus, 0xfee00000, 0x07);
  put (b, 0, ESR, 0);
  g_assert_cmphex (get (b, 0, ESR), ==, 0x40);
  put (b, 0, EOI, 0);
  g_assert_cmpint (take (b, 0), ==, 0xfe);
  bench_clear (b);
}

static int
answer_extint (void *opaque)
{
  return *(int *) opaque;
}

static void
test_lint (void)
{
  Bench bench, *b = &bench;
  VmIrq intr, nmi;
  int vector = 0x08;

  bench_init (b);
  intr = vm_lapic_bus_lint (&b->bus, 0);
  nmi = vm_lapic_bus_lint (&b->bus, 1);
  b->bus.extint = answer_extint;
  b->bus.extint_opaque = &vector;
  vm_irq_set (&intr, 1); /* after reset the boot processor's is wired through */
  g_assert_true (asked (b, 0));
  g_assert_false (asked (b, 1));
  g_assert_cmpint (take (b, 0), ==, 0x08);
  put (b, 0, LINT0, 0x10700);
  g_assert_false (asked (b, 0));
  vm_irq_set (&intr, 0);
  put (b, 0, LINT0, 0x00090); /* fixed, edge */
  vm_irq_set (&intr, 1);
  g_assert_cmpint (take (b, 0), ==, 0x90);
  put (b, 0, EOI, 0);
  g_assert_false (asked (b, 0));
  vm_irq_set (&intr, 0);
  put (b, 0, LINT0, 0x08091); /* fixed, level: comes again */
  vm_irq_set (&intr, 1);
  g_assert_cmpint (take (b, 0), ==, 0x91);
  put (b, 0, EOI, 0);
  g_assert_cmpint (take (b, 0), ==, 0x91);
  vm_irq_set (&intr, 0);
  put (b, 0, EOI, 0);
  g_assert_false (asked (b, 0));
  put (b, 2, LINT1, 0x400);
  vm_irq_pulse (&nmi);
  g_assert_cmphex (b->cpu[2]->env.request & VM_REQ_NMI, !=, 0);
  g_assert_cmphex (b->cpu[3]->env.request & VM_REQ_NMI, ==, 0);
  bench_clear (b);
}

static void
test_timer (void)
{
  Bench bench, *b = &bench;
  int n = 0;

  bench_init (b);
  put (b, 0, DIVIDE, 0x3); /* by 16 */
  put (b, 0, TIMER, 0x30);
  put (b, 0, COUNT, 1000);
  rig_advance (&b->rig, 8000);
  g_assert_cmpint (get (b, 0, CURRENT), ==, 500);
  g_assert_false (asked (b, 0));
  rig_advance (&b->rig, 8001);
  g_assert_cmpint (take (b, 0), ==, 0x30);
  put (b, 0, EOI, 0);
  g_assert_cmpint (get (b, 0, CURRENT), ==, 0);
  put (b, 0, DIVIDE, 0xb); /* by one */
  put (b, 0, TIMER, 0x20031);
  put (b, 0, COUNT, 1000000);
  for (int i = 0; i < 100; i++)
    {
      rig_advance (&b->rig, 500000);
      if (asked (b, 0))
        {
          g_assert_cmpint (take (b, 0), ==, 0x31);
          put (b, 0, EOI, 0);
          n++;
        }
    }
  g_assert_cmpint (n, >=, 49);
  g_assert_cmpint (n, <=, 50);
  /* Between one-shot and periodic the count goes on; one that had ended does not begin again. */
  put (b, 0, TIMER, 0x31);
  put (b, 0, COUNT, 1000000);
  rig_advance (&b->rig, 600000);
  put (b, 0, TIMER, 0x20031);
  g_assert_cmpint (get (b, 0, CURRENT), ==, 400000);
  rig_advance (&b->rig, 600000);
  g_assert_cmpint (take (b, 0), ==, 0x31);
  put (b, 0, EOI, 0);
  put (b, 0, TIMER, 0x31);
  g_assert_cmpint (get (b, 0, CURRENT), ==, 800000);
  put (b, 0, DIVIDE, 0); /* by two */
  g_assert_cmpint (get (b, 0, CURRENT), ==, 800000);
  rig_advance (&b->rig, 1600001);
  g_assert_cmpint (take (b, 0), ==, 0x31);
  put (b, 0, EOI, 0);
  put (b, 0, DIVIDE, 0xb);
  g_assert_cmpint (get (b, 0, CURRENT), ==, 0);
  put (b, 0, TIMER, 0x20031);
  g_assert_cmpint (get (b, 0, CURRENT), ==, 0);
  g_assert_cmpint (get (b, 0, COUNT), ==, 1000000);
  rig_advance (&b->rig, 3000000);
  g_assert_false (asked (b, 0));
  /* TSC deadline; the other modes' count is dead then. */
  put (b, 0, TIMER, 0x40032);
  put (b, 0, COUNT, 1000);
  g_assert_cmpint (get (b, 0, CURRENT), ==, 0);
  vm_lapic_ops.set_deadline (b->apic[0], vm_x86_read_tsc (b->cpu[0]) + 2000000);
  rig_advance (&b->rig, 999999);
  g_assert_false (asked (b, 0));
  rig_advance (&b->rig, 2);
  g_assert_cmpint (take (b, 0), ==, 0x32);
  g_assert_cmphex (b->cpu[0]->env.tsc_deadline, ==, 0);
  put (b, 0, EOI, 0);
  vm_lapic_ops.set_deadline (b->apic[0], 1); /* past */
  rig_advance (&b->rig, 1);
  g_assert_cmpint (take (b, 0), ==, 0x32);
  vm_lapic_ops.set_deadline (b->apic[0], UINT64_MAX);
  rig_advance (&b->rig, VM_NS_PER_SEC);
  g_assert_false (asked (b, 0));
  bench_clear (b);
}

static void
test_x2apic (void)
{
  Bench bench, *b = &bench;
  uint64_t value;

  bench_init (b);
  g_assert_false (vm_lapic_ops.msr_read (b->apic[1], 0x802, &value));
  g_assert_false (vm_lapic_ops.set_base (b->apic[1], BASE | 0x400));
  g_assert_true (vm_lapic_ops.set_base (b->apic[1], BASE | 0xc00));
  g_assert_false (vm_lapic_ops.set_base (b->apic[1], BASE | 0x800)); /* no way back but through off */
  g_assert_true (vm_lapic_ops.msr_read (b->apic[1], 0x802, &value));
  g_assert_cmphex (value, ==, 1);
  g_assert_true (vm_lapic_ops.msr_read (b->apic[1], 0x80d, &value));
  g_assert_cmphex (value, ==, 2);
  g_assert_false (vm_lapic_ops.msr_write (b->apic[1], 0x80d, 2));
  g_assert_false (vm_lapic_ops.msr_read (b->apic[1], 0x80e, &value));
  g_assert_false (vm_lapic_ops.msr_write (b->apic[1], 0x80b, 1));
  g_assert_true (vm_lapic_ops.msr_write (b->apic[1], 0x83f, 0x77));
  g_assert_cmpint (take (b, 1), ==, 0x77);
  g_assert_true (vm_lapic_ops.msr_write (b->apic[1], 0x80b, 0));
  g_assert_true (vm_lapic_ops.msr_write (b->apic[1], 0x830, UINT64_C (3) << 32 | 0x78));
  g_assert_cmpint (take (b, 3), ==, 0x78);
  g_assert_cmphex (get (b, 1, ID), ==, 0xffffffff); /* no page any more */
  vm_lapic_bus_message (&b->bus, 0xfee00000 | 1 << 12, 0x79);
  g_assert_cmpint (take (b, 1), ==, 0x79);
  g_assert_true (vm_lapic_ops.set_base (b->apic[1], BASE));
  g_assert_true (vm_lapic_ops.set_base (b->apic[1], BASE | 0x800));
  g_assert_cmphex (get (b, 1, ID), ==, 1u << 24);
  /* Moved. */
  g_assert_true (vm_lapic_ops.set_base (b->apic[1], UINT64_C (0xfd000000) | 0x800));
  g_assert_cmphex (get (b, 1, ID), ==, 0xffffffff);
  g_assert_cmphex (rig_load (&b->rig, 0xfd000000 + ID, 4), ==, 1u << 24);
  bench_clear (b);
}

static void
io_write (Bench *b, unsigned reg, uint32_t value)
{
  running = NULL;
  rig_store (&b->rig, VM_IOAPIC_BASE, reg, 4);
  rig_store (&b->rig, VM_IOAPIC_BASE + 0x10, value, 4);
}

static uint32_t
io_read (Bench *b, unsigned reg)
{
  rig_store (&b->rig, VM_IOAPIC_BASE, reg, 4);
  return (uint32_t) rig_load (&b->rig, VM_IOAPIC_BASE + 0x10, 4);
}

static void
test_ioapic (void)
{
  Bench bench, *b = &bench;
  VmIrq edge, level;

  bench_init (b);
  edge = vm_ioapic_input (b->io, 4);
  level = vm_ioapic_input (b->io, 11);
  g_assert_cmphex (io_read (b, 1), ==, 0x170020);
  g_assert_cmphex (io_read (b, 0x18), ==, 0x10000);
  vm_irq_pulse (&edge); /* masked: lost */
  io_write (b, 0x19, 2u << 24);
  io_write (b, 0x18, 0x44);
  g_assert_false (asked (b, 2));
  vm_irq_set (&edge, 1);
  g_assert_cmpint (take (b, 2), ==, 0x44);
  put (b, 2, EOI, 0);
  g_assert_false (asked (b, 2));
  io_write (b, 0x27, 1u << 24);
  io_write (b, 0x26, 0x18055); /* level, masked */
  vm_irq_set (&level, 1);
  g_assert_false (asked (b, 1));
  io_write (b, 0x26, 0x8055);
  g_assert_cmphex (io_read (b, 0x26), ==, 0xc055);
  g_assert_cmpint (take (b, 1), ==, 0x55);
  put (b, 1, EOI, 0); /* still high: again */
  g_assert_cmpint (take (b, 1), ==, 0x55);
  vm_irq_set (&level, 0);
  put (b, 1, EOI, 0);
  g_assert_false (asked (b, 1));
  g_assert_cmphex (io_read (b, 0x26), ==, 0x8055);
  /* The EOI register of version 0x20. */
  vm_irq_set (&level, 1);
  vm_irq_set (&level, 0);
  g_assert_cmphex (io_read (b, 0x26) & 0x4000, !=, 0);
  rig_store (&b->rig, VM_IOAPIC_BASE + 0x40, 0x55, 4);
  g_assert_cmphex (io_read (b, 0x26) & 0x4000, ==, 0);
  bench_clear (b);
}

static void
test_random (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  for (int i = 0; i < 40000; i++)
    {
      unsigned cpu = (unsigned) g_test_rand_int_range (0, CPUS);
      uint64_t value;

      switch (g_test_rand_int_range (0, 8))
        {
        case 0:
          put (b, cpu, (unsigned) g_test_rand_int_range (0, 64) * 16, (uint32_t) g_test_rand_int ());
          break;
        case 1:
          get (b, cpu, (unsigned) g_test_rand_int_range (0, 4096) & ~3u);
          break;
        case 2:
          take (b, cpu);
          break;
        case 3:
          vm_lapic_bus_message (&b->bus, 0xfee00000 | ((uint32_t) g_test_rand_int () & 0xfffff), (uint32_t) g_test_rand_int ());
          break;
        case 4:
          io_write (b, (unsigned) g_test_rand_int_range (0, 0x48), (uint32_t) g_test_rand_int ());
          break;
        case 5:
          {
            VmIrq irq = vm_ioapic_input (b->io, (unsigned) g_test_rand_int_range (0, VM_IOAPIC_PINS));

            vm_irq_set (&irq, g_test_rand_int_range (0, 2));
          }
          break;
        case 6:
          if (g_test_rand_int_range (0, 2))
            vm_lapic_ops.msr_write (b->apic[cpu], 0x800 + (uint32_t) g_test_rand_int_range (0, 0x100), (uint32_t) g_test_rand_int ());
          else
            vm_lapic_ops.msr_read (b->apic[cpu], 0x800 + (uint32_t) g_test_rand_int_range (0, 0x100), &value);
          break;
        default:
          if (i % 16 == 0)
            vm_lapic_ops.set_base (b->apic[cpu], BASE | (uint32_t) g_test_rand_int_range (0, 4) << 10);
          rig_advance (&b->rig, g_test_rand_int_range (0, 100000));
          break;
        }
    }
  bench_clear (b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/apic/priorities", test_priorities);
  g_test_add_func ("/apic/destinations", test_destinations);
  g_test_add_func ("/apic/ipi", test_ipi);
  g_test_add_func ("/apic/lint", test_lint);
  g_test_add_func ("/apic/timer", test_timer);
  g_test_add_func ("/apic/x2apic", test_x2apic);
  g_test_add_func ("/apic/ioapic", test_ioapic);
  g_test_add_func ("/apic/random", test_random);
  return g_test_run ();
}
