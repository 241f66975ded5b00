/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decoder's rules that a differential run on one host cannot show: vendors, absent features, lengths. */
#include "config.h"

#include "engine/tcg/decode/table.h"

typedef struct Case {
  const char *bytes, *text;
  unsigned    bits;
} Case;

static unsigned
parse_hex (const char *text, uint8_t *out)
{
  unsigned n = 0;

  for (; *text; text += *text == ' ')
    {
      out[n++] = g_ascii_xdigit_value (text[0]) << 4 | g_ascii_xdigit_value (text[1]);
      text += 2;
    }
  return n;
}

static const Case cases[] = {
  { "90", "nop", 64 },
  { "f3 90", "pause", 64 },
  { "41 90", "xchg r8d, eax", 64 },
  { "48 01 d8", "add rax, rbx", 64 },
  { "66 01 d8", "add ax, bx", 32 },
  { "01 d8", "add ax, bx", 16 },
  { "66 01 d8", "add eax, ebx", 16 },
  { "00 e0", "add al, ah", 64 },
  { "40 00 e0", "add al, spl", 64 },
  { "48 66 01 d8", "add ax, bx", 64 },           /* REX not last: ignored */
  { "f0 01 08", "lock add dword [rax], ecx", 64 },
  { "f0 01 c8", "(undefined) lock add eax, ecx", 64 },
  { "f0 03 08", "(undefined) lock add ecx, dword [rax]", 64 },
  { "8b 04 25 78 56 34 12", "mov eax, dword [0x12345678]", 64 },
  { "8b 05 10 00 00 00", "mov eax, dword [rip+0x10] (0x1016)", 64 },
  { "8b 05 10 00 00 00", "mov eax, dword [0x10]", 32 },
  { "67 8b 07", "mov eax, dword [bx]", 32 },
  { "8b 07", "mov ax, word [bx]", 16 },
  { "8b 46 fe", "mov ax, word [bp-0x2]", 16 },
  { "48 b8 88 77 66 55 44 33 22 11", "mov rax, 0x1122334455667788", 64 },
  { "a1 88 77 66 55 44 33 22 11", "mov eax, dword [0x1122334455667788]", 64 },
  { "62 00", "bound eax, [eax]", 32 },
  { "c4 00", "les eax, far [eax]", 32 },
  { "c4 e2 78 f2 c1", "andn eax, eax, ecx", 32 },
  { "c4 e2 f8 f2 c1", "andn rax, rax, rcx", 64 },
  { "66 c4 e2 78 f2 c1", "(undefined) andn eax, eax, ecx", 64 }, /* prefix before VEX */
  { "f3 0f bc c1", "tzcnt eax, ecx", 64 },
  { "0f bc c1", "bsf eax, ecx", 64 },
  { "66 e8 00 00 00 00", "call 0x1006", 64 },      /* Intel: 66 has no effect here */
  { "66 e8 00 00", "call 0x1004", 32 },
  { "48 0f c7 08", "cmpxchg16b xmmword [rax]", 64 },
  { "0f c7 08", "cmpxchg8b qword [rax]", 64 },
  { "98", "cwde", 64 }, { "48 98", "cdqe", 64 }, { "66 98", "cbw", 64 },
  { "f3 a4", "rep movsb byte es:[rdi], byte ds:[rsi]", 64 },
  { "67 e3 00", "jecxz 0x1003", 64 },
  { "e3 00", "jrcxz 0x1002", 64 },
  { "f3 0f 1e fa", "endbr64", 64 },
  { "0f 05", "syscall", 64 },
  { "40 90", "nop", 64 },
  { "c8 10 00 01", "enter 0x10, 0x1", 64 },
  { "9a 04 03 02 01 06 05", "callf 0x506:0x1020304", 32 },
};

static void
test_forms (void)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      uint8_t bytes[16] = { 0 };
      unsigned len = parse_hex (cases[i].bytes, bytes);
      char text[128];
      VmInsn insn;

      g_assert_cmpuint (vm_insn_decode (bytes, 15, cases[i].bits, NULL, &insn), ==, len);
      g_assert_cmpuint (insn.len, ==, len);
      vm_insn_format (&insn, 0x1000, text, sizeof text);
      g_assert_cmpstr (text, ==, cases[i].text);
      /* Cut short anywhere, it asks for more and reads no further. */
      for (unsigned cut = 0; cut < len; cut++)
        {
          g_autofree uint8_t *exact = g_memdup2 (bytes, cut ? cut : 1);

          g_assert_cmpuint (vm_insn_decode (exact, cut, cases[i].bits, NULL, &insn), >, cut);
        }
    }
}

static void
test_too_long (void)
{
  uint8_t bytes[16];
  VmInsn insn;

  memset (bytes, 0x66, sizeof bytes);
  bytes[14] = 0x90;
  g_assert_cmpuint (vm_insn_decode (bytes, 15, 32, NULL, &insn), ==, 15);
  g_assert_false (insn.flags & VM_INSN_TOOLONG);
  bytes[14] = 0x66;
  vm_insn_decode (bytes, 15, 32, NULL, &insn);
  g_assert_true (insn.flags & VM_INSN_TOOLONG);
  g_assert_cmpint (vm_insn_static_fault (&insn, VM_MODE_PE), ==, VM_EXC_GP);
}

static void
test_features (void)
{
  uint64_t features[VM_FEATURE_WORDS] = { 0 };
  const uint8_t tzcnt[] = { 0xf3, 0x0f, 0xbc, 0xc1 }, andn[] = { 0xc4, 0xe2, 0x78, 0xf2, 0xc1 };
  const uint8_t call[] = { 0x66, 0xe8, 0, 0, 0, 0 };
  VmInsn insn;

  vm_insn_decode (tzcnt, sizeof tzcnt, 64, features, &insn);
  g_assert_cmpint (vm_insn_rows[insn.row].op, ==, VM_OP_BSF);
  vm_insn_decode (andn, sizeof andn, 64, features, &insn);
  g_assert_true (insn.flags & VM_INSN_UD);
  vm_insn_decode (call, sizeof call, 64, features, &insn);
  g_assert_cmpuint (insn.len, ==, 6);
  features[VM_FEATURE_AMD_BRANCH / 64] |= VM_BIT (VM_FEATURE_AMD_BRANCH % 64);
  vm_insn_decode (call, sizeof call, 64, features, &insn);
  g_assert_cmpuint (insn.len, ==, 4);
  features[VM_FEATURE_BMI1 / 64] |= VM_BIT (VM_FEATURE_BMI1 % 64);
  vm_insn_decode (tzcnt, sizeof tzcnt, 64, features, &insn);
  g_assert_cmpint (vm_insn_rows[insn.row].op, ==, VM_OP_TZCNT);
}

/* Any bytes decode without reading beyond, and format. */
static void
test_random (void)
{
  for (unsigned n = 0; n < 200000; n++)
    {
      unsigned len = g_test_rand_int_range (1, 16), bits = 16 << g_test_rand_int_range (0, 3);
      g_autofree uint8_t *bytes = g_malloc (len);
      char text[64];
      VmInsn insn;

      for (unsigned i = 0; i < len; i++)
        bytes[i] = g_test_rand_int ();
      if (vm_insn_decode (bytes, len, bits, NULL, &insn) > len)
        continue;
      g_assert_cmpuint (insn.len, <=, len);
      g_assert_cmpuint (insn.row, <, vm_insn_n_rows);
      vm_insn_format (&insn, 0, text, sizeof text);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tcg/decode/forms", test_forms);
  g_test_add_func ("/tcg/decode/too-long", test_too_long);
  g_test_add_func ("/tcg/decode/features", test_features);
  g_test_add_func ("/tcg/decode/random", test_random);
  return g_test_run ();
}
