/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPU models, the -cpu option, CPUID, MSRs, the mode word, register and page dumps. */
#include "config.h"

#include "engine/x86/model.h"

extern const VmType x86_cpu_max_type, x86_cpu_base_type, x86_cpu_host_type, x86_cpu_486_type, x86_cpu_qemu64_type,
  x86_cpu_Haswell_type, x86_cpu_Haswell_v1_type, x86_cpu_EPYC_Rome_type;

static const VmType *const types[] = {
  &vm_x86_cpu_type, &x86_cpu_max_type, &x86_cpu_base_type, &x86_cpu_host_type, &x86_cpu_486_type,
  &x86_cpu_qemu64_type, &x86_cpu_Haswell_type, &x86_cpu_Haswell_v1_type, &x86_cpu_EPYC_Rome_type,
};

static VmX86Cpu *
try_cpu (const char *text, GError **error)
{
  VmTypeList *list = vm_type_list_new (types, G_N_ELEMENTS (types));
  g_autoptr (VmX86CpuOption) option = vm_x86_cpu_parse (list, text, error);
  VmX86Cpu *cpu = option ? vm_x86_cpu_new (option, error) : NULL;

  vm_type_list_free (list);
  if (cpu == NULL)
    return NULL;
  if (!vm_x86_cpu_realize ((VmDevice *) cpu, error))
    {
      vm_object_unref ((VmObject *) cpu);
      return NULL;
    }
  return cpu;
}

static VmX86Cpu *
new_cpu (const char *text)
{
  g_autoptr (GError) error = NULL;
  VmX86Cpu *cpu = try_cpu (text, &error);

  g_assert_no_error (error);
  return cpu;
}

static void
drop (VmX86Cpu *cpu)
{
  vm_object_unref ((VmObject *) cpu);
}

static void
assert_fails (const char *text, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (try_cpu (text, &error));
  g_assert_nonnull (error);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_parse (void)
{
  VmX86Cpu *cpu = new_cpu ("Haswell,check=off,+umip,-avx2,level=7,model-id=Some CPU,pcid=off,tsc-freq=2.5G");

  g_assert_true (vm_x86_has (cpu, VM_X86_FEATURE_UMIP));
  g_assert_false (cpu->model->words[VM_X86_WORD_7_EBX] >> 5 & 1);
  g_assert_false (vm_x86_has (cpu, VM_X86_FEATURE_PCID));
  g_assert_cmpuint (cpu->model->level, ==, 7);
  g_assert_cmpstr (cpu->model->model_id, ==, "Some CPU");
  g_assert_cmpuint (cpu->tsc_frequency, ==, 2500000000u);
  drop (cpu);
  /* signs win over assignments, minus over plus */
  cpu = new_cpu ("qemu64,-sse3,sse3=on,+x2apic,-x2apic");
  g_assert_false (cpu->model->words[VM_X86_WORD_1_ECX] & 1);
  g_assert_false (vm_x86_has (cpu, VM_X86_FEATURE_X2APIC));
  drop (cpu);
  assert_fails ("", "-cpu option cannot be empty");
  assert_fails ("nonsense", "unable to find CPU model 'nonsense'");
  assert_fails ("Haswell,+foo", "Property 'Haswell-x86_64-cpu.foo' not found");
  assert_fails ("Haswell,foo=on",
                "can't apply global Haswell-x86_64-cpu.foo=on: Property 'Haswell-x86_64-cpu.foo' not found");
  assert_fails ("Haswell,vmx=maybe",
                "can't apply global Haswell-x86_64-cpu.vmx=maybe: Parameter 'vmx' expects 'on' or 'off'");
  assert_fails ("host", "CPU model 'host' requires KVM or HVF");
  assert_fails ("Haswell,check=off,+vmx,enforce", "TCG doesn't support requested features");
}

static void
test_models (void)
{
  uint32_t out[4];
  unsigned n = 0;
  VmX86Cpu *cpu;

  for (; vm_x86_models[n]; n++)
    g_assert_true (vm_x86_models[n]->name != NULL);
  g_assert_cmpuint (n, >, 130);
  cpu = new_cpu ("486");
  vm_x86_cpuid (cpu, 1, 0, out);
  g_assert_cmphex (out[0], ==, 0x480);
  g_assert_cmphex (out[3], ==, 0x9);
  g_assert_cmphex (out[2], ==, 0x80000000);
  g_assert_cmphex (cpu->phys_mask, ==, UINT32_MAX);
  drop (cpu);
  cpu = new_cpu ("Haswell,check=off,-hypervisor");
  vm_x86_cpuid (cpu, 0, 0, out);
  g_assert_cmpuint (out[0], ==, 13);
  g_assert_cmpmem (&out[1], 4, "Genu", 4);
  vm_x86_cpuid (cpu, 1, 0, out);
  g_assert_cmphex (out[0], ==, 0x306c4);
  g_assert_cmphex (out[2] >> 31, ==, 0);
  g_assert_cmphex (out[2] >> 27 & 1, ==, 0);
  cpu->env.cr4 |= VM_CR4_OSXSAVE;
  vm_x86_cpuid (cpu, 1, 0, out);
  g_assert_cmphex (out[2] >> 27 & 1, ==, 1);
  vm_x86_cpuid (cpu, 0x40000000, 0, out);
  g_assert_cmphex (out[1], ==, 0);
  drop (cpu);
  cpu = new_cpu ("max");
  vm_x86_cpuid (cpu, 0x40000000, 0, out);
  g_assert_cmpmem (&out[1], 12, "TCGTCGTCGTCG", 12);
  g_assert_true (vm_x86_has (cpu, VM_X86_FEATURE_PCID) && vm_x86_has (cpu, VM_X86_FEATURE_LA57));
  vm_x86_cpuid (cpu, 0x80000008, 0, out);
  g_assert_cmphex (out[0], ==, 40 | 57 << 8);
  drop (cpu);
  cpu = new_cpu ("base");
  drop (cpu);
}

/* What the leaves say about extended state must agree with itself. */
static void
test_xsave (void)
{
  VmX86Cpu *cpu = new_cpu ("max");
  uint32_t zero[4], sub[4];
  uint64_t mask;

  vm_x86_cpuid (cpu, 13, 0, zero);
  mask = zero[0];
  g_assert_cmphex (zero[1], ==, 576); /* only x87 enabled */
  g_assert_cmphex (mask & 3, ==, 3);
  for (unsigned i = 2; i < 32; i++)
    {
      vm_x86_cpuid (cpu, 13, i, sub);
      if (mask >> i & 1)
        g_assert_cmpuint (sub[0] + sub[1], <=, zero[2]);
      else
        g_assert_cmpuint (sub[0], ==, 0);
    }
  g_assert_true (vm_x86_xcr0_valid (cpu, mask));
  g_assert_false (vm_x86_xcr0_valid (cpu, 0));
  g_assert_false (vm_x86_xcr0_valid (cpu, 5));
  g_assert_false (vm_x86_xcr0_valid (cpu, mask | VM_BIT (40)));
  drop (cpu);
}

static void
test_topology (void)
{
  g_autoptr (GError) error = NULL;
  VmX86Cpu *cpu = (VmX86Cpu *) vm_device_new (&x86_cpu_Haswell_type);
  uint32_t out[4];

  cpu->model->check = false;
  cpu->model->threads = 2;
  cpu->model->cores = 3;
  cpu->model->dies = 2;
  cpu->model->apic_id = 0xd;
  g_assert_true (vm_x86_cpu_realize ((VmDevice *) cpu, &error));
  vm_x86_cpuid (cpu, 1, 0, out);
  g_assert_cmphex (out[1] >> 24, ==, 0xd);
  g_assert_cmphex (out[1] >> 16 & 0xff, ==, 12);
  g_assert_cmphex (out[3] >> 28 & 1, ==, 1);
  vm_x86_cpuid (cpu, 0x1f, 1, out);
  g_assert_cmphex (out[0], ==, 3);
  g_assert_cmphex (out[1], ==, 6);
  g_assert_cmphex (out[2] >> 8, ==, 2);
  g_assert_cmphex (out[3], ==, 0xd);
  vm_x86_cpuid (cpu, 0x1f, 2, out);
  g_assert_cmphex (out[0], ==, 4);
  vm_x86_cpuid (cpu, 0xb, 1, out);
  g_assert_cmphex (out[0], ==, 4);
  vm_x86_cpuid (cpu, 0xb, 2, out);
  g_assert_cmphex (out[2] >> 8, ==, 0);
  drop (cpu);
}

static void
test_msrs (void)
{
  VmX86Cpu *cpu = new_cpu ("max");
  uint64_t value, first;

  g_assert_true (vm_x86_wrmsr (cpu, 0xc0000082, 0xffff800000001000));
  g_assert_true (vm_x86_rdmsr (cpu, 0xc0000082, &value));
  g_assert_cmphex (value, ==, 0xffff800000001000);
  cpu->env.cr4 = 0;
  g_assert_false (vm_x86_wrmsr (cpu, 0xc0000082, 0x0100000000000000));
  g_assert_false (vm_x86_rdmsr (cpu, 0x12345678, &value));
  /* PAT and MTRR: only memory types that exist */
  g_assert_false (vm_x86_wrmsr (cpu, 0x277, 2));
  g_assert_true (vm_x86_wrmsr (cpu, 0x277, 0x0007010600070106));
  g_assert_false (vm_x86_wrmsr (cpu, 0x200, 0x0000010000000006)); /* beyond MAXPHYADDR */
  g_assert_true (vm_x86_wrmsr (cpu, 0x201, 0xffc0000800));
  g_assert_true (vm_x86_rdmsr (cpu, 0x201, &value));
  g_assert_cmphex (value, ==, 0xffc0000800);
  /* EFER: LMA is not for writing, LME not while paging */
  g_assert_true (vm_x86_wrmsr (cpu, 0xc0000080, VM_EFER_LME | VM_EFER_LMA | VM_EFER_NXE));
  g_assert_cmphex (cpu->env.efer, ==, VM_EFER_LME | VM_EFER_NXE);
  g_assert_false (vm_x86_wrmsr (cpu, 0xc0000080, 1 << 2));
  cpu->env.cr0 |= VM_CR0_PG | VM_CR0_PE;
  g_assert_false (vm_x86_wrmsr (cpu, 0xc0000080, VM_EFER_NXE));
  /* TSC and its adjustment move together */
  first = vm_x86_read_tsc (cpu);
  g_assert_cmpuint (vm_x86_read_tsc (cpu), >=, first);
  g_assert_true (vm_x86_wrmsr (cpu, 0x3b, 1000000000000));
  g_assert_cmpuint (vm_x86_read_tsc (cpu), >=, first + 1000000000000);
  g_assert_true (vm_x86_wrmsr (cpu, 0x10, 5));
  g_assert_true (vm_x86_rdmsr (cpu, 0x3b, &value));
  g_assert_cmpint ((int64_t) value, <=, 5 - (int64_t) first);
  drop (cpu);
}

/* Every MSR number near known ones: no crash, and what can be read can be read again. */
static void
test_msr_sweep (void)
{
  VmX86Cpu *cpu = new_cpu ("max");
  static const uint32_t bases[] = { 0, 0xc0000000, 0xc0010000, 0x40000000 };

  for (unsigned b = 0; b < G_N_ELEMENTS (bases); b++)
    for (uint32_t i = 0; i < 0x2000; i++)
      {
        uint64_t value, again;

        if (vm_x86_rdmsr (cpu, bases[b] + i, &value))
          g_assert_true (vm_x86_rdmsr (cpu, bases[b] + i, &again));
        vm_x86_wrmsr (cpu, bases[b] + i, 0);
        vm_x86_wrmsr (cpu, bases[b] + i, UINT64_MAX);
      }
  drop (cpu);
}

static void
test_registers (void)
{
  VmX86Cpu *cpu = new_cpu ("max");
  g_autofree char *text = vm_x86_describe_registers (cpu, true), *tlb = NULL, *mem = NULL;

  g_assert_nonnull (strstr (text, "EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1\n"
                                  "ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000\n"
                                  "EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n"
                                  "ES =0000 00000000 0000ffff 00009300\n"
                                  "CS =f000 ffff0000 0000ffff 00009b00\n"));
  g_assert_nonnull (strstr (text, "LDT=0000 00000000 0000ffff 00008200\n"
                                  "TR =0000 00000000 0000ffff 00008b00\n"
                                  "GDT=     00000000 0000ffff\n"
                                  "IDT=     00000000 0000ffff\n"
                                  "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n"));
  tlb = vm_x86_describe_tlb (cpu);
  mem = vm_x86_describe_mem (cpu);
  g_assert_cmpstr (tlb, ==, "PG disabled\n");
  g_assert_cmpstr (mem, ==, "PG disabled\n");
  drop (cpu);
}

static void
test_pages (void)
{
  VmX86Cpu *cpu = new_cpu ("max");
  VmLock *lock = vm_lock_new ();
  VmMemory *memory = vm_memory_new (lock);
  VmRegion root, ram;
  VmAddressSpace as;
  g_autofree char *tlb = NULL, *mem = NULL;
  bool taken = vm_lock_enter (lock);
  uint8_t *bytes;

  vm_region_init (&root, memory, "root", 0);
  g_assert_true (vm_region_init_ram (&ram, memory, "ram", 0x100000, NULL));
  vm_region_add (&root, 0, &ram);
  vm_address_space_init (&as, memory, &root, "cpu");
  vm_lock_leave (lock, taken);
  cpu->memory_as = &as;
  bytes = vm_region_ram_ptr (&ram);
  vm_store_le64 (bytes + 0x1000 + 511 * 8, 0x2007);
  vm_store_le64 (bytes + 0x2000, 0x3003);
  vm_store_le64 (bytes + 0x3000, 0x4007);
  vm_store_le64 (bytes + 0x3008, UINT64_C (0x80000000002001e7));
  vm_store_le64 (bytes + 0x4000 + 5 * 8, 0x9065);
  vm_store_le64 (bytes + 0x4000 + 6 * 8, 0xa065);
  cpu->env.cr3 = 0x1000;
  cpu->env.cr4 = VM_CR4_PAE;
  cpu->env.efer = VM_EFER_LME | VM_EFER_LMA;
  cpu->env.cr0 |= VM_CR0_PE | VM_CR0_PG;
  vm_x86_update_mode (&cpu->env);
  tlb = vm_x86_describe_tlb (cpu);
  mem = vm_x86_describe_mem (cpu);
  g_assert_cmpstr (tlb, ==, "ffffff8000005000: 0000000000009000 ---DA--U-\n"
                            "ffffff8000006000: 000000000000a000 ---DA--U-\n"
                            "ffffff8000200000: 0000000000200000 XGPDA--UW\n");
  g_assert_cmpstr (mem, ==, "ffffff8000005000-ffffff8000007000 0000000000002000 -r-\n"
                            "ffffff8000200000-ffffff8000400000 0000000000200000 -rw\n");
  g_assert_cmphex (vm_x86_debug_translate (cpu, 0xffffff8000006123), ==, 0xa123);
  g_assert_cmphex (vm_x86_debug_translate (cpu, 0xffffff8000234567), ==, 0x234567);
  g_assert_cmphex (vm_x86_debug_translate (cpu, 0x1000), ==, UINT64_MAX);
  taken = vm_lock_enter (lock);
  vm_address_space_destroy (&as);
  vm_region_destroy (&ram);
  vm_region_destroy (&root);
  vm_lock_leave (lock, taken);
  drop (cpu);
  vm_memory_free (memory);
  vm_lock_free (lock);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/x86/parse", test_parse);
  g_test_add_func ("/x86/models", test_models);
  g_test_add_func ("/x86/xsave", test_xsave);
  g_test_add_func ("/x86/topology", test_topology);
  g_test_add_func ("/x86/msrs", test_msrs);
  g_test_add_func ("/x86/msr-sweep", test_msr_sweep);
  g_test_add_func ("/x86/registers", test_registers);
  g_test_add_func ("/x86/pages", test_pages);
  return g_test_run ();
}
