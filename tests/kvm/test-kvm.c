/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The KVM accelerator with a few bytes of real-mode code; skipped where there is no /dev/kvm. */
#include "config.h"

#include "engine/cpu/irqchip.h"
#include "engine/io/loop.h"
#include "engine/kvm/kvm.h"
#include "engine/options/keyvals.h"
#include "engine/x86/cpu.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- what the processor model supplies elsewhere ------------------------------------------------ */

const VmType vm_x86_cpu_type = { .name = "test-cpu" };

void
vm_x86_cpu_offer (VmX86Cpu *cpu, const uint32_t *words, const char *supporter)
{
}

void
vm_x86_update_mode (VmX86Env *env)
{
}

uint64_t
vm_x86_read_tsc (VmX86Cpu *cpu)
{
  return 1000 + cpu->env.tsc_offset;
}

void
vm_x86_reset (VmX86Cpu *cpu, bool is_init)
{
  VmX86Env *env = &cpu->env;

  memset (env, 0, sizeof *env);
  env->eflags = 2;
  env->cr0 = 0x60000010;
  env->xcr0 = 1;
  env->fx.fcw = 0x37f;
  env->fx.mxcsr = 0x1f80;
  env->dr[6] = 0xffff0ff0;
  env->dr[7] = 0x400;
  env->apic_base = 0xfee00900;
  env->pat = UINT64_C (0x0007040600070406);
  for (unsigned i = 0; i < VM_SEG_N; i++)
    env->seg[i] = (VmX86Seg) { .limit = 0xffff, .attr = VM_SEG_P | VM_SEG_S | VM_SEG_RW | VM_SEG_ACCESSED };
  env->seg[VM_CS].attr |= VM_SEG_CODE;
  env->ldt = (VmX86Seg) { .limit = 0xffff, .attr = VM_SEG_P | 2 };
  env->tr = (VmX86Seg) { .limit = 0xffff, .attr = VM_SEG_P | 11 };
  env->gdt.limit = env->idt.limit = 0xffff;
}

void
vm_x86_unrequest (VmX86Cpu *cpu, uint32_t bits)
{
  __atomic_fetch_and (&cpu->env.request, ~bits, __ATOMIC_SEQ_CST);
}

void
vm_x86_cpuid (VmX86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
  memset (out, 0, 16);
  if (leaf == 0)
    out[0] = 1;
  else if (leaf == 1)
    out[3] = 1 << 0 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 13 | 1 << 15 | 1 << 24 | 1 << 25 | 1 << 26;
  else if (leaf == 0x80000000)
    out[0] = 0x80000001;
}

/* --- fixture ------------------------------------------------------------------------------------ */

typedef struct Fixture {
  VmEnv          env;
  VmLock        *lock;
  VmRegion       system_memory, system_io, ram, rom, device, ports;
  VmAddressSpace memory_as, io_as;
  VmAccel       *accel;
  VmX86Cpu      *cpu;
  uint8_t       *ram_host;
  GString       *log;        /* of device accesses */
  bool           has_vector;
} Fixture;

static uint64_t
device_read (void *opaque, uint64_t offset, unsigned size)
{
  g_string_append_printf (((Fixture *) opaque)->log, "r%u@%x ", size, (unsigned) offset);
  return UINT64_C (0x8877665544332211) >> (8 * (offset & 7));
}

static void
device_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  g_string_append_printf (((Fixture *) opaque)->log, "w%u@%x=%x ", size, (unsigned) offset, (unsigned) value);
}

static const VmRegionOps device_ops = { .read = device_read, .write = device_write };

static void
set_up (Fixture *f, gconstpointer accel_name)
{
  g_autoptr (GError) error = NULL;
  static const VmAccelOps *const table[] = { &vm_kvm_accel_ops, NULL };
  VmAccelChoice choice = { .name = "kvm" };
  bool taken;

  f->lock = vm_lock_new ();
  f->log = g_string_new (NULL);
  f->env.loop = vm_loop_new ("test", f->lock);
  f->env.memory = vm_memory_new (f->lock);
  taken = vm_lock_enter (f->lock);
  vm_region_init (&f->system_memory, f->env.memory, "system", 0);
  vm_region_init (&f->system_io, f->env.memory, "io", 0x10000);
  g_assert_true (vm_region_init_ram (&f->ram, f->env.memory, "ram", 0x20000, &error));
  g_assert_true (vm_region_init_rom (&f->rom, f->env.memory, "rom", 0x1000, &error));
  vm_region_init_io (&f->device, f->env.memory, &device_ops, f, "device", 0x1000);
  vm_region_init_io (&f->ports, f->env.memory, &device_ops, f, "ports", 0x10);
  vm_region_add (&f->system_memory, 0, &f->ram);
  vm_region_add (&f->system_memory, 0x30000, &f->rom);
  vm_region_add (&f->system_memory, 0x40000, &f->device);
  vm_region_add (&f->system_io, 0xe0, &f->ports);
  vm_address_space_init (&f->memory_as, f->env.memory, &f->system_memory, "memory");
  vm_address_space_init (&f->io_as, f->env.memory, &f->system_io, "io");
  vm_lock_leave (f->lock, taken);
  f->env.memory_as = &f->memory_as;
  f->env.io_as = &f->io_as;
  f->ram_host = vm_region_ram_ptr (&f->ram);
  f->accel = vm_accel_choose (table, &choice, 1, &f->env, &error);
  g_assert_no_error (error);
  f->cpu = g_aligned_alloc0 (1, sizeof *f->cpu, 64);
  f->cpu->parent.accel = f->accel;
  f->cpu->memory_as = f->cpu->smm_as = &f->memory_as;
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  bool taken;

  if (f->cpu->accel_state)
    f->accel->ops->vcpu_end (&f->cpu->parent);
  vm_accel_free (f->accel);
  g_aligned_free (f->cpu);
  taken = vm_lock_enter (f->lock);
  vm_address_space_destroy (&f->memory_as);
  vm_address_space_destroy (&f->io_as);
  vm_region_destroy (&f->ram);
  vm_region_destroy (&f->rom);
  vm_region_destroy (&f->device);
  vm_region_destroy (&f->ports);
  vm_region_destroy (&f->system_memory);
  vm_region_destroy (&f->system_io);
  vm_lock_leave (f->lock, taken);
  vm_memory_free (f->env.memory);
  vm_loop_free (f->env.loop);
  vm_lock_free (f->lock);
  g_string_free (f->log, TRUE);
}

/* Code at 0000:1000, stack below it. */
static void
load (Fixture *f, const char *hex)
{
  g_autoptr (GError) error = NULL;
  uint8_t *p = f->ram_host + 0x1000;

  for (; *hex; hex += *hex == ' ' ? 1 : 2)
    if (*hex != ' ')
      *p++ = g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]);
  vm_x86_reset (f->cpu, false);
  f->cpu->env.rip = 0x1000;
  f->cpu->env.gpr[VM_RSP] = 0x1000;
  if (!f->cpu->accel_state)
    g_assert_true (f->accel->ops->vcpu_begin (&f->cpu->parent, &error));
  g_assert_no_error (error);
  f->accel->ops->state_store (&f->cpu->parent);
}

static VmVcpuExit
run (Fixture *f)
{
  VmVcpuExit result = f->accel->ops->exec (&f->cpu->parent);

  f->accel->ops->state_fetch (&f->cpu->parent);
  return result;
}

static void
test_ports_and_memory (Fixture *f, gconstpointer data)
{
  load (f, "b8 00 40 8e d8"          /* mov ax, 0x4000; mov ds, ax */
           "b0 5a e6 e2"             /* mov al, 0x5a; out 0xe2, al */
           "e5 e4"                   /* in ax, 0xe4 */
           "a3 10 00"                /* mov [0x10], ax */
           "8b 1e 00 00"             /* mov bx, [0] */
           "f4");
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  g_assert_cmpstr (f->log->str, ==, "w1@2=5a r2@4 w2@10=6655 r2@0 ");
  g_assert_cmphex (f->cpu->env.gpr[VM_RBX] & 0xffff, ==, 0x2211);
  g_assert_cmphex (f->cpu->env.rip, ==, 0x1013);
  g_assert_cmphex (f->cpu->env.seg[VM_DS].base, ==, 0x40000);
  g_assert_true (f->cpu->env.halted);
}

static void
test_rom (Fixture *f, gconstpointer data)
{
  bool taken = vm_lock_enter (f->lock);

  vm_store_le16 (vm_region_ram_ptr (&f->rom), 0xbeef);
  vm_lock_leave (f->lock, taken);
  load (f, "b8 00 30 8e d8"          /* mov ds, 0x3000 */
           "c7 06 00 00 34 12"       /* mov word [0], 0x1234: goes nowhere */
           "8b 0e 00 00"             /* mov cx, [0] */
           "f4");
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  g_assert_cmphex (f->cpu->env.gpr[VM_RCX] & 0xffff, ==, 0xbeef);
}

static void
test_dirty (Fixture *f, gconstpointer data)
{
  unsigned long bitmap[1] = { 0 };
  bool taken = vm_lock_enter (f->lock);

  vm_region_set_dirty_log (&f->ram, VM_DIRTY_VGA, true);
  vm_region_take_dirty (&f->ram, VM_DIRTY_VGA, 0, 0x20000, bitmap);
  vm_lock_leave (f->lock, taken);
  load (f, "c6 06 00 50 01"          /* mov byte [0x5000], 1 */
           "c6 06 ff 7f 02"          /* mov byte [0x7fff], 2 */
           "f4");
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  taken = vm_lock_enter (f->lock);
  g_assert_true (vm_region_take_dirty (&f->ram, VM_DIRTY_VGA, 0, 0x20000, bitmap));
  g_assert_cmphex (bitmap[0] & ~1ul & ~2ul, ==, 1 << 5 | 1 << 7);
  g_assert_false (vm_region_take_dirty (&f->ram, VM_DIRTY_VGA, 0x5000, 0x1000, bitmap));
  vm_lock_leave (f->lock, taken);
}

static void
test_remap (Fixture *f, gconstpointer data)
{
  bool taken;

  load (f, "f4");
  taken = vm_lock_enter (f->lock);
  vm_region_set_address (&f->rom, 0x38000);
  vm_store_le16 (vm_region_ram_ptr (&f->rom), 0x4711);
  vm_lock_leave (f->lock, taken);
  load (f, "b8 00 38 8e d8 8b 0e 00 00 f4");
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  g_assert_cmphex (f->cpu->env.gpr[VM_RCX] & 0xffff, ==, 0x4711);
}

static void
test_eventfd (Fixture *f, gconstpointer data)
{
  int fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t count = 0;
  bool taken = vm_lock_enter (f->lock);

  vm_region_add_eventfd (&f->ports, 8, 2, true, 0x77, fd);
  vm_lock_leave (f->lock, taken);
  load (f, "b8 77 00 e7 e8"          /* mov ax, 0x77; out 0xe8, ax */
           "b8 78 00 e7 e8 f4");
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  g_assert_cmpstr (f->log->str, ==, "w2@8=78 ");
  g_assert_cmpint (read (fd, &count, 8), ==, 8);
  g_assert_cmpuint (count, ==, 1);
  taken = vm_lock_enter (f->lock);
  vm_region_del_eventfd (&f->ports, 8, 2, true, 0x77, fd);
  vm_lock_leave (f->lock, taken);
  close (fd);
}

static void
test_coalesced (Fixture *f, gconstpointer data)
{
  bool taken = vm_lock_enter (f->lock);

  vm_region_set_coalesced (&f->device, true);
  vm_lock_leave (f->lock, taken);
  load (f, "b8 00 40 8e d8 c6 06 20 00 01 c6 06 21 00 02 a0 00 00 f4");
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  g_assert_cmpstr (f->log->str, ==, "w1@20=1 w1@21=2 r1@0 "); /* in order all the same */
}

static int
fake_get_vector (void *opaque)
{
  Fixture *f = opaque;

  f->has_vector = false;
  vm_x86_unrequest (f->cpu, VM_REQ_HARD);
  return 0x21;
}

static bool
fake_has_vector (void *opaque)
{
  return ((Fixture *) opaque)->has_vector;
}

static uint8_t
fake_get_tpr (void *opaque)
{
  return 0;
}

static void
fake_set_tpr (void *opaque, uint8_t tpr)
{
}

static bool
fake_set_base (void *opaque, uint64_t value)
{
  return true;
}

static void
test_interrupt (Fixture *f, gconstpointer data)
{
  static const VmX86ApicOps ops = { .get_vector = fake_get_vector, .has_vector = fake_has_vector,
                                    .get_tpr = fake_get_tpr, .set_tpr = fake_set_tpr, .set_base = fake_set_base };

  f->cpu->apic_ops = &ops;
  f->cpu->apic = f;
  vm_store_le16 (f->ram_host + 0x21 * 4, 0x1100);
  vm_store_le16 (f->ram_host + 0x21 * 4 + 2, 0);
  memcpy (f->ram_host + 0x1100, "\xb0\x33\xe6\xe1\xcf", 5);   /* mov al, 0x33; out 0xe1, al; iret */
  load (f, "fb f4 b0 44 e6 e2 fa f4");                        /* sti; hlt; mov al, 0x44; out 0xe2, al; cli; hlt */
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  g_assert_cmpstr (f->log->str, ==, "");
  g_assert_false (f->accel->ops->has_work (&f->cpu->parent));
  f->has_vector = true;
  __atomic_fetch_or (&f->cpu->env.request, VM_REQ_HARD, __ATOMIC_SEQ_CST);
  g_assert_true (f->accel->ops->has_work (&f->cpu->parent));
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_HALTED);
  g_assert_cmpstr (f->log->str, ==, "w1@1=33 w1@2=44 ");
  g_assert_false (f->has_vector);
}

static void *
kick_later (void *opaque)
{
  Fixture *f = opaque;

  g_usleep (50000);
  f->accel->ops->kick (&f->cpu->parent);
  return NULL;
}

static void
test_kick (Fixture *f, gconstpointer data)
{
  GThread *thread;

  load (f, "eb fe");
  f->accel->ops->kick (&f->cpu->parent);              /* sticks */
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_KICKED);
  thread = g_thread_new ("kicker", kick_later, f);
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_KICKED);
  g_thread_join (thread);
  g_assert_cmphex (f->cpu->env.rip, ==, 0x1000);
}

static void
test_state (Fixture *f, gconstpointer data)
{
  VmX86Env *env = &f->cpu->env;

  load (f, "90 f4");
  for (unsigned i = 0; i < 8; i++)
    {
      env->gpr[i] = UINT64_C (0x1111111111111111) * i;
      env->ymm[i].q[0] = 0xabc0 + i;
    }
  env->gpr[VM_RSP] = 0x1000;
  env->fx.ftw = 1;
  vm_store_le64 (env->fx.st[0], UINT64_C (0x8000000000000000));
  vm_store_le16 (env->fx.st[0] + 8, 0x3fff);
  env->fx.fsw = 7 << 11;
  env->cr2 = 0x1234000;
  env->sysenter_eip = 0x5678;
  f->accel->ops->state_store (&f->cpu->parent);
  g_assert_cmpint (f->accel->ops->exec (&f->cpu->parent), ==, VM_VCPU_EXIT_HALTED);
  memset (env->gpr, 0xee, sizeof env->gpr);
  memset (env->ymm, 0xee, sizeof env->ymm);
  env->cr2 = env->sysenter_eip = env->fx.fsw = 0;
  f->accel->ops->state_fetch (&f->cpu->parent);
  g_assert_cmphex (env->gpr[VM_RBX] & 0xffff, ==, 0x3333);
  g_assert_cmphex (env->ymm[5].q[0], ==, 0xabc5);
  g_assert_cmphex (env->fx.fsw, ==, 7 << 11);
  g_assert_cmphex (env->fx.ftw, ==, 1);
  g_assert_cmphex (env->cr2, ==, 0x1234000);
  g_assert_cmphex (env->sysenter_eip, ==, 0x5678);
  g_assert_cmphex (env->seg[VM_CS].attr & (VM_SEG_P | VM_SEG_S), ==, VM_SEG_P | VM_SEG_S);
  g_assert_cmphex (env->rip, ==, 0x1002);
}

static void *
interrupt_then_kick (void *opaque)
{
  Fixture *f = opaque;

  /* An edge that comes before the guest has set its controller up is lost: on a busy host, again and again. */
  for (unsigned i = 0; i < 200 && !__atomic_load_n (&f->log->len, __ATOMIC_ACQUIRE); i++)
    {
      g_usleep (50000);
      f->accel->ops->irqchip->set_gsi (f->accel, 1, 0);
      f->accel->ops->irqchip->set_gsi (f->accel, 1, 1);
    }
  return kick_later (f);
}

/* Code at 0000:1000 sets interrupt 21h up, waits; the 8259 in the kernel delivers. */
static void
test_irqchip (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VmIrqchipMode mode = VM_IRQCHIP_OFF;
  uint8_t state[VM_IRQCHIP_STATE_MAX];
  size_t size;
  GThread *thread;

  g_assert_true (f->accel->ops->irqchip->create (f->accel, &mode, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mode, ==, VM_IRQCHIP_ON);
  vm_store_le16 (f->ram_host + 0x21 * 4, 0x1100);
  vm_store_le16 (f->ram_host + 0x21 * 4 + 2, 0);
  memcpy (f->ram_host + 0x1100, "\xb0\x33\xe6\xe1\xb0\x20\xe6\x20\xcf", 9);
  load (f, "b0 11 e6 20 b0 20 e6 21 b0 04 e6 21 b0 01 e6 21"  /* 8259: vectors from 20h */
           "b0 fd e6 21"                                      /* only input 1 */
           "fb 90 eb fe");
  thread = g_thread_new ("interrupter", interrupt_then_kick, f);
  g_assert_cmpint (run (f), ==, VM_VCPU_EXIT_KICKED);
  g_thread_join (thread);
  g_assert_true (g_str_has_prefix (f->log->str, "w1@1=33 "));
  g_assert_true (f->accel->ops->irqchip->get_state (f->accel, VM_IRQCHIP_PIC_MASTER, state, &size));
  g_assert_true (f->accel->ops->irqchip->set_state (f->accel, VM_IRQCHIP_PIC_MASTER, state, size));
  g_assert_true (f->accel->ops->irqchip->get_state (f->accel, VM_IRQCHIP_IOAPIC, state, &size));
  g_assert_true (f->accel->ops->irqchip->get_lapic (&f->cpu->parent, (uint8_t[1024]) { 0 }));
}

static void
test_irqfd (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const VmIrqchipOps *chip = f->accel->ops->irqchip;
  int fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC), gsi;
  VmIrqchipMode mode;

  g_assert_cmpint (chip->add_msi_route (f->accel, 0xfee00000, 0x21), ==, -1);
  g_assert_true (chip->create (f->accel, &mode, &error));
  gsi = chip->add_msi_route (f->accel, 0xfee00000, 0x21);
  g_assert_cmpint (gsi, >=, 24);
  g_assert_true (chip->set_irqfd (f->accel, fd, -1, gsi, true, &error));
  chip->update_msi_route (f->accel, gsi, 0xfee00000, 0x22);
  g_assert_true (chip->set_irqfd (f->accel, fd, -1, gsi, false, &error));
  chip->remove_msi_route (f->accel, gsi);
  g_assert_cmpint (chip->add_msi_route (f->accel, 0xfee00000, 0x21), ==, gsi);
  close (fd);
}

static void
test_no_device (void)
{
  static const VmAccelOps *const table[] = { &vm_kvm_accel_ops, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (VmKeyVals) props = vm_keyvals_new ();
  VmAccelChoice choice = { .name = "kvm", .props = props };
  VmEnv env = { 0 };

  g_assert_true (vm_keyvals_parse (props, "device=/nonexistent/kvm", NULL, 0, &error));
  g_assert_null (vm_accel_choose (table, &choice, 1, &env, &error));
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, "could not open /nonexistent/kvm: No such file or directory"));
}

int
main (int argc, char **argv)
{
  static const struct { const char *name; void (*func) (Fixture *, gconstpointer); } tests[] = {
    { "/kvm/ports-and-memory", test_ports_and_memory }, { "/kvm/rom", test_rom }, { "/kvm/dirty", test_dirty },
    { "/kvm/remap", test_remap }, { "/kvm/eventfd", test_eventfd }, { "/kvm/coalesced", test_coalesced },
    { "/kvm/interrupt", test_interrupt }, { "/kvm/kick", test_kick }, { "/kvm/state", test_state },
    { "/kvm/irqchip", test_irqchip }, { "/kvm/irqfd", test_irqfd },
  };

  g_test_init (&argc, &argv, NULL);
  if (!vm_kvm_accel_ops.probe (NULL))
    {
      g_print ("1..0 # SKIP no usable /dev/kvm\n");
      return 0;
    }
  g_test_add_func ("/kvm/no-device", test_no_device);
  for (unsigned i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].name, Fixture, NULL, set_up, tests[i].func, tear_down);
  return g_test_run ();
}
