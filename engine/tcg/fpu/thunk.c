/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host instructions made executable one by one, and the assembly that loads the guest's registers around
 * them. Thunks are found by their bytes; when the memory is full all are dropped. */
#include "config.h"

#include "engine/tcg/fpu/fpu-private.h"

#include <cpuid.h>
#include <sys/mman.h>
#include <unistd.h>

#define N_THUNKS   4096u
#define THUNK_SIZE 32u
#define N_BUCKETS  (2 * N_THUNKS)

typedef struct VmFpu {
  uint8_t  *writable;         /* the same memory twice: no page is both writable and executable */
  uint8_t  *executable;
  unsigned  n;
  uint16_t  bucket[N_BUCKETS]; /* thunk number + 1 */
  uint8_t   key[N_THUNKS][VM_HOST_INSN_MAX];
} VmFpu;

static VmFpu *
fpu_new (void)
{
  VmFpu *fpu = g_new0 (VmFpu, 1);
  size_t size = N_THUNKS * THUNK_SIZE;
  int fd = memfd_create ("vitrine-fpu-thunks", MFD_CLOEXEC);

  if (fd < 0 || ftruncate (fd, size) < 0)
    g_error ("cannot allocate %zu bytes of code memory: %s", size, g_strerror (errno));
  fpu->writable = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  fpu->executable = mmap (NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  if (fpu->writable == MAP_FAILED || fpu->executable == MAP_FAILED)
    g_error ("cannot map %zu bytes of code memory: %s", size, g_strerror (errno));
  close (fd);
  return fpu;
}

void
vm_fpu_end (VmTcgCpu *tcg)
{
  VmFpu *fpu = tcg->fpu;

  if (!fpu)
    return;
  munmap (fpu->writable, N_THUNKS * THUNK_SIZE);
  munmap (fpu->executable, N_THUNKS * THUNK_SIZE);
  g_clear_pointer (&tcg->fpu, g_free);
}

/* Bytes that were executed may be overwritten only with a serializing instruction in between. */
static void
fpu_drop_all (VmFpu *fpu)
{
  unsigned a, b, c, d;

  memset (fpu->bucket, 0, sizeof fpu->bucket);
  fpu->n = 0;
  __cpuid (0, a, b, c, d);
}

const void *
vm_fpu_thunk (VmX86Env *env, const uint8_t *bytes, unsigned len)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  VmFpu *fpu = tcg->fpu ? tcg->fpu : (tcg->fpu = fpu_new ());
  uint8_t key[VM_HOST_INSN_MAX] = { 0 };
  unsigned slot;

  memcpy (key, bytes, len);
  slot = ((vm_load_le64 (key) ^ vm_load_le64 (key + 8) * 31) * UINT64_C (0x9e3779b97f4a7c15)) >> 51;
  G_STATIC_ASSERT (N_BUCKETS == 1u << (64 - 51));
  for (; fpu->bucket[slot]; slot = (slot + 1) % N_BUCKETS)
    {
      unsigned n = fpu->bucket[slot] - 1;

      if (memcmp (fpu->key[n], key, sizeof key) == 0)
        return fpu->executable + n * THUNK_SIZE;
    }
  if (fpu->n == N_THUNKS)
    {
      fpu_drop_all (fpu);
      return vm_fpu_thunk (env, bytes, len);
    }
  memcpy (fpu->key[fpu->n], key, sizeof key);
  memcpy (fpu->writable + fpu->n * THUNK_SIZE, bytes, len);
  fpu->writable[fpu->n * THUNK_SIZE + len] = 0xc3;
  fpu->bucket[slot] = ++fpu->n;
  return fpu->executable + (fpu->n - 1) * THUNK_SIZE;
}

#define CALL_RAX   "0"
#define CALL_RCX   "8"
#define CALL_RDX   "16"
#define CALL_FLAGS "24"
#define CALL_MXCSR "32"
#define CALL_CODE  "40"
#define CALL_MEM   "48"
#define CALL_YMM   "56"
#define CALL_MM    "64"
#define CALL_IMAGE "128"
G_STATIC_ASSERT (offsetof (VmFpuCall, flags) == 24 && offsetof (VmFpuCall, mxcsr) == 32 &&
                 offsetof (VmFpuCall, code) == 40 && offsetof (VmFpuCall, mem) == 48 &&
                 offsetof (VmFpuCall, ymm) == 56 && offsetof (VmFpuCall, mm) == 64 &&
                 offsetof (VmFpuCall, image) == 128);

/* rbx: the VmFpuCall. The host's MXCSR is kept at [rsp]. */
__asm__ (
  ".intel_syntax noprefix\n"
  ".text\n"
  ".macro vm_fpu_begin name\n"
  ".p2align 4\n"
  ".globl \\name\n"
  ".hidden \\name\n"
  ".type \\name, @function\n"
  "\\name:\n"
  "  push rbx\n"
  "  sub rsp, 16\n"
  "  mov rbx, rdi\n"
  ".endm\n"
  ".macro vm_fpu_end name\n"
  "  add rsp, 16\n"
  "  pop rbx\n"
  "  ret\n"
  ".size \\name, . - \\name\n"
  ".endm\n"

  ".macro vm_fpu_load_mxcsr\n"
  "  stmxcsr [rsp]\n"
  "  ldmxcsr [rbx + " CALL_MXCSR "]\n"
  ".endm\n"
  ".macro vm_fpu_store_mxcsr\n"
  "  stmxcsr [rbx + " CALL_MXCSR "]\n"
  "  ldmxcsr [rsp]\n"
  ".endm\n"

  ".macro vm_fpu_call\n"
  "  mov rsi, [rbx + " CALL_MEM "]\n"
  "  mov rax, [rbx + " CALL_RAX "]\n"
  "  mov rcx, [rbx + " CALL_RCX "]\n"
  "  mov rdx, [rbx + " CALL_RDX "]\n"
  "  call qword ptr [rbx + " CALL_CODE "]\n"
  "  mov [rbx + " CALL_RAX "], rax\n"
  "  mov [rbx + " CALL_RCX "], rcx\n"
  "  mov [rbx + " CALL_RDX "], rdx\n"
  "  pushfq\n"
  "  pop qword ptr [rbx + " CALL_FLAGS "]\n"
  ".endm\n"

  ".macro vm_fpu_ymm op\n"
  "  mov rax, [rbx + " CALL_YMM "]\n"
  "  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
  "  .ifc \\op, load\n"
  "  vmovdqu ymm\\n, [rax + 32 * \\n]\n"
  "  .else\n"
  "  vmovdqu [rax + 32 * \\n], ymm\\n\n"
  "  .endif\n"
  "  .endr\n"
  ".endm\n"
  ".macro vm_fpu_xmm op\n"
  "  mov rax, [rbx + " CALL_YMM "]\n"
  "  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
  "  .ifc \\op, load\n"
  "  movdqu xmm\\n, [rax + 32 * \\n]\n"
  "  .else\n"
  "  movdqu [rax + 32 * \\n], xmm\\n\n"
  "  .endif\n"
  "  .endr\n"
  ".endm\n"
  ".macro vm_fpu_mm op\n"
  "  .irp n, 0,1,2,3,4,5,6,7\n"
  "  .ifc \\op, load\n"
  "  movq mm\\n, [rbx + " CALL_MM " + 8 * \\n]\n"
  "  .else\n"
  "  movq [rbx + " CALL_MM " + 8 * \\n], mm\\n\n"
  "  .endif\n"
  "  .endr\n"
  ".endm\n"

  "vm_fpu_begin vm_fpu_run_vector\n"
  "  vm_fpu_ymm load\n"
  "  vm_fpu_load_mxcsr\n"
  "  vm_fpu_call\n"
  "  vm_fpu_store_mxcsr\n"
  "  vm_fpu_ymm store\n"
  "  vzeroupper\n"
  "vm_fpu_end vm_fpu_run_vector\n"

  "vm_fpu_begin vm_fpu_run_sse\n"
  "  vm_fpu_xmm load\n"
  "  vm_fpu_load_mxcsr\n"
  "  vm_fpu_call\n"
  "  vm_fpu_store_mxcsr\n"
  "  vm_fpu_xmm store\n"
  "vm_fpu_end vm_fpu_run_sse\n"

  "vm_fpu_begin vm_fpu_run_mmx\n"
  "  vm_fpu_mm load\n"
  "  vm_fpu_call\n"
  "  vm_fpu_mm store\n"
  "  emms\n"
  "vm_fpu_end vm_fpu_run_mmx\n"

  "vm_fpu_begin vm_fpu_run_mmx_sse\n"
  "  vm_fpu_mm load\n"
  "  vm_fpu_xmm load\n"
  "  vm_fpu_load_mxcsr\n"
  "  vm_fpu_call\n"
  "  vm_fpu_store_mxcsr\n"
  "  vm_fpu_xmm store\n"
  "  vm_fpu_mm store\n"
  "  emms\n"
  "vm_fpu_end vm_fpu_run_mmx_sse\n"

  /* Nothing between the instruction and FNINIT waits for x87 exceptions, so that unmasked ones do not reach
   * the host. FXRSTOR takes the default MXCSR from the image. */
  "vm_fpu_begin vm_fpu_run_x87\n"
  "  stmxcsr [rsp]\n"
  "  mov rax, [rbx + " CALL_IMAGE "]\n"
  "  fxrstor64 [rax]\n"
  "  push qword ptr [rbx + " CALL_FLAGS "]\n"
  "  popfq\n"
  "  vm_fpu_call\n"
  "  mov rax, [rbx + " CALL_IMAGE "]\n"
  "  fxsave64 [rax]\n"
  "  fninit\n"
  "  ldmxcsr [rsp]\n"
  "vm_fpu_end vm_fpu_run_x87\n"

  ".purgem vm_fpu_begin\n.purgem vm_fpu_end\n.purgem vm_fpu_load_mxcsr\n.purgem vm_fpu_store_mxcsr\n"
  ".purgem vm_fpu_call\n.purgem vm_fpu_ymm\n.purgem vm_fpu_xmm\n.purgem vm_fpu_mm\n"
  ".att_syntax prefix\n");
